// The vlugins of the page by name and by prefix, from plugins.json or as they were kept, and what is loaded of them.
// `valor-sw.js` wakes it, `valor-dispatch.js` looks up in it, `valor-admin.js` changes it.

import { Guest } from "./guest.js";
import { checked, keep as keepWorkers, script } from "./valor-pages.js";
import { NAME, fetch, refuse, resolve } from "./valor-rules.js";
import { PLUGINS, keep, keyOf, kept, read } from "./valor-store.js";

const DEFAULTS = { timeout: 30, body: 10485760, concurrency: 1024 };

/** The text of plugins.json that is served; null until the registry is awake. */
export let text = null;
export const byName = new Map();
export const byPrefix = new Map();
let generation = 0;
let hostOf;
/** What creates a vlugin; wasi/ adds one. */
export const kinds = { __proto__: null, wasm: guest, js: script };

/** Dispatch, which imports this, sets what the vlugin of a mount may ask for. */
export const hosts = (make) => (hostOf = make);

/** Keeps the registry, and the files that it names. */
export async function save() {
  await keep(text, byPrefix.values());
  await keepWorkers(byPrefix);
}

/** The registry as it was kept, or from plugins.json. */
export function awake() {
  awake.once ??= (async () => {
    const before = await kept();
    if (!before) return load();
    for (const { definition, ...rest } of before.mounts) insert(Object.assign(mount(definition), rest));
    generation = Math.max(0, ...before.mounts.map((mount) => mount.generation));
    text = before.text;
    await keepWorkers(byPrefix);
  })();
  awake.once.catch(() => (awake.once = null));
  return awake.once;
}

/** Applies what has changed in plugins.json; everything else keeps its state. */
export async function load() {
  const response = await fetch(PLUGINS, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${PLUGINS} answers ${response.status}: say in start({ plugins }) where it is`);
  const read = await response.text();
  if (text === read) return;
  let after;
  try {
    after = JSON.parse(read);
    await checked(read, after);
    after = [...after.plugins];
  } catch (error) {
    throw new Error(`${PLUGINS}: ${error.message}`);
  }
  const mounts = [];
  for (const definition of after) {
    const { name, type } = definition;
    const old = byName.get(name);
    const same = old && !old.unavailable && JSON.stringify(old.definition) === JSON.stringify(definition);
    const fresh = same ? old : mount(definition);
    fresh.listed = true;
    mounts.push(fresh);
    if (same) continue;
    if (isElsewhere(definition)) {
      console.info(`valor: left \`${name}\` to the network: a ${type} vlugin does not run in a browser`);
      continue;
    }
    try {
      fit(definition);
      await prepare(fresh);
    } catch (error) {
      if (!definition.optional) throw new Error(`${PLUGINS}: the vlugin \`${name}\`: ${error.message}`);
      fresh.unavailable = error.message;
    }
  }
  const names = new Set(after.map(({ name }) => name));
  for (const mount of [...byPrefix.values()]) if (mount.listed || names.has(mount.name)) remove(mount);
  text = read;
  mounts.forEach(insert);
  await save();
}

/** Refuses a definition that cannot be mounted in a page. */
export function fit({ type, name, prefix = `/${name}`, callees }) {
  if (!NAME.test(name ?? "")) refuse(422, `\`${name}\` is not a name for a vlugin`);
  if (!kinds[type]) refuse(422, `a ${type} vlugin does not run in this page`);
  const isPlain = /^(?!\/_)(\/|(\/[!$-.0->@-[\]-~]+)+)$/.test(prefix) && !/%(2f|5c|(?![\da-f]{2}))/i.test(prefix);
  if (!isPlain || resolve(prefix) !== prefix)
    refuse(422, `\`${prefix}\` is not a prefix for a vlugin`);
  const at = callees?.findIndex((callee) => callee.startsWith("_")) ?? -1;
  if (at >= 0)
    refuse(
      422,
      `callees[${at}]: \`callees\` names \`${callees[at]}\`, which this host does not offer; it offers nothing: ` +
        "take the name out",
    );
}

/** Whether it belongs to the network. */
export const isElsewhere = ({ type }) => type === "native" || type === "files";

/** A mount of a definition. */
export function mount(definition) {
  const { name, prefix = `/${name}`, limits } = definition;
  return { name, prefix, definition, limits: { ...DEFAULTS, ...limits }, generation: ++generation, running: 0 };
}

export function insert(mount) {
  if (!isElsewhere(mount.definition)) byName.set(mount.name, mount);
  byPrefix.set(mount.prefix, mount);
}

export function remove({ name, prefix }) {
  byName.delete(name);
  byPrefix.delete(prefix);
}

async function guest(mount, host) {
  mount.module ??= await WebAssembly.compileStreaming(await read(mount));
  const [said] = WebAssembly.Module.customSections(mount.module, ".valor");
  if (said) mount.version = new TextDecoder().decode(said.slice(96, 128)).replace(/\0+$/, "");
  return Guest.create(mount.module, mount.name, mount.definition.config, host, mount.limits);
}

/** The mount's guest; a fresh one if the last has trapped. */
export function prepare(mount) {
  if (mount.ready?.trapped) mount.guest = mount.ready = null;
  const stored = () => read(mount).then(() => keyOf(mount));
  mount.guest ??= kinds[mount.definition.type](mount, hostOf(mount), stored).then(
    (ready) => (mount.ready = ready),
    (error) => {
      mount.guest = null;
      throw error;
    },
  );
  return mount.guest;
}

/** The public reason why one is not available, in the server's words. */
export const lackOf = ({ definition }) => (definition.optional ? "not installed" : "not loaded");
