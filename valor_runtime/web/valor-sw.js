// The service worker: the host of vlugins in a page, registered by valor.js. What no vlugin matches goes to
// the network. What it has to remember stands in IndexedDB and CacheStorage.

import { Guest, LEVELS } from "./guest.js";
import {
  Fault, addEventListener, below, fetch, idOf, json, mayHaveBody, noAnswer, problem, reach, refuse, resolve, route,
  without,
} from "./http.js";
import { checked, keep, runsIn, script } from "./valor-pages.js";
import "./valor-vlugins.js";

const LONGEST = 1048576;
/** Characters of what a vlugin says in a line of the console. */
const LINE = 2000;
const PLUGINS = new URL(new URL(location).searchParams.get("plugins") ?? "plugins.json", location).href;
const CACHE = `valor ${PLUGINS}`;
const DEFAULTS = { timeout: 30, body: 10485760, concurrency: 1024 };

let registry;
const byName = new Map();
const byPrefix = new Map();
let generation = 0;

function database(mode, act) {
  return new Promise((done, failed) => {
    const opening = indexedDB.open("valor", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("registry");
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("registry", mode);
      const asked = act(transaction.objectStore("registry"));
      transaction.oncomplete = () => done(asked.result);
      transaction.onabort = () => failed(transaction.error);
      opening.result.close();
    };
  });
}

/** Keeps the registry, and the modules that it names. */
async function save() {
  const kept = ({ definition, generation, listed, sha256, unavailable }) => ({ definition, generation, listed, sha256, unavailable });
  const mounts = Array.from(byPrefix.values(), kept);
  await database("readwrite", (store) => store.put({ text: registry.text, mounts }, PLUGINS));
  const named = new Set(mounts.map(keyOf));
  const cache = await caches.open(CACHE);
  for (const { url } of await cache.keys()) if (!named.has(url)) await cache.delete(url);
  await keep(byPrefix);
}

/** The registry as it was kept, or of plugins.json. */
function awake() {
  awake.once ??= (async () => {
    const kept = await database("readonly", (store) => store.get(PLUGINS));
    if (!kept) return load();
    for (const { definition, ...rest } of kept.mounts) insert(Object.assign(mount(definition), rest));
    generation = Math.max(0, ...kept.mounts.map((mount) => mount.generation));
    registry = kept;
    await keep(byPrefix);
  })();
  awake.once.catch(() => (awake.once = null));
  return awake.once;
}

/** Applies what has changed in plugins.json; all else keeps its state. */
async function load() {
  const response = await fetch(PLUGINS, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${PLUGINS} answers ${response.status}: say in start({ plugins }) where it is`);
  const text = await response.text();
  if (registry?.text === text) return;
  let after;
  try {
    after = JSON.parse(text);
    await checked(after);
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
  registry = { text };
  mounts.forEach(insert);
  await save();
}

function fit({ type, name, prefix = `/${name}` }) {
  if (!/^[a-z\d-][\w.-]{0,63}$/i.test(name ?? "")) refuse(422, `\`${name}\` is not a name for a vlugin`);
  if (!/^(wasm|js)$/.test(type)) refuse(422, `a vlugin of type \`${type}\` does not run in a browser, only \`wasm\` and \`js\` do`);
  if (!/^(?!\/_)(\/|(\/[!$-.0->@-[\]-~]+)+)$/.test(prefix) || /%(2f|5c)/i.test(prefix) || resolve(prefix) !== prefix) refuse(422, `\`${prefix}\` is not a prefix for a vlugin`);
}

const isElsewhere = ({ type }) => type === "native" || type === "files";

const addressOf = ({ type, name, path = name }) => new URL(/[/\\.]/.test(path) ? path : `${path}.${type}`, PLUGINS).href;

/** What its file is kept under, and a Worker imports it from. */
const keyOf = ({ definition, sha256 }) => `${addressOf(definition)}?valor=${sha256}`;

function mount(definition) {
  const { name, prefix = `/${name}`, limits } = definition;
  return { name, prefix, definition, limits: { ...DEFAULTS, ...limits }, generation: ++generation, running: 0 };
}

function insert(mount) {
  if (!isElsewhere(mount.definition)) byName.set(mount.name, mount);
  byPrefix.set(mount.prefix, mount);
}

function remove({ name, prefix }) {
  byName.delete(name);
  byPrefix.delete(prefix);
}

/** Its file, as it was kept or as the network has it. */
async function read(mount) {
  const url = addressOf(mount.definition);
  if (new URL(url).origin !== location.origin) throw new Error(`${url} is of another origin`);
  const wanted = mount.definition.sha256?.toLowerCase();
  mount.sha256 = wanted ?? mount.sha256;
  const cache = await caches.open(CACHE);
  const kept = await cache.match(keyOf(mount));
  if (kept) return kept;
  const answer = await fetch(url, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  mount.sha256 = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (wanted && mount.sha256 !== wanted) throw new Error(`${url} has the SHA-256 ${mount.sha256}, and the definition says ${wanted}`);
  // `compileStreaming` insists on the type, and so does `import`.
  const type = mount.definition.type === "js" ? "text/javascript" : "application/wasm";
  const response = new Response(bytes, { headers: { "content-type": type } });
  await cache.put(keyOf(mount), response.clone());
  return response;
}

async function guest(mount, host) {
  mount.module ??= await WebAssembly.compileStreaming(await read(mount));
  const [said] = WebAssembly.Module.customSections(mount.module, ".valor");
  if (said) mount.version = new TextDecoder().decode(said.slice(96, 128)).replace(/\0+$/, "");
  return Guest.create(mount.module, mount.name, mount.definition.config, host, mount.limits);
}

/** The mount's guest; a fresh one where the last has trapped. */
function prepare(mount) {
  if (mount.ready?.trapped) mount.guest = mount.ready = null;
  const create = mount.definition.type === "js" ? script : guest;
  const stored = () => read(mount).then(() => keyOf(mount));
  mount.guest ??= create(mount, hostOf(mount), stored).then(
    (ready) => (mount.ready = ready),
    (error) => {
      mount.guest = null;
      throw error;
    },
  );
  return mount.guest;
}

function hostOf({ name, definition }) {
  return {
    log: (level, target, line) => console[LEVELS[level] ?? "debug"](`valor: ${name}: ${line}`),
    call: (callee, request) => {
      request.headers = without(request.headers, "upgrade");
      const mount = !callee.startsWith("_") && byName.get(callee);
      const id = idOf(request.headers);
      return mount ? run(mount, request, id) : ended(problem(404, `no vlugin is named \`${callee}\``), id);
    },
    fetch: async ({ method, target, headers, body, signal }) => {
      const bodied = body instanceof ReadableStream || body?.length;
      const request = { method, headers, signal, ...(bodied && { body, duplex: "half" }) };
      const response = await reach(definition.allow, target, target, request);
      // What the browser has decoded is no longer what these say.
      const encoded = response.headers.has("content-encoding");
      const kept = [...response.headers].filter(([n]) => !encoded || !/^content-(encoding|length)$/.test(n));
      const length = encoded ? null : response.headers.get("content-length");
      return { status: response.status, headers: kept, length: length && +length, body: method === "HEAD" ? null : response.body };
    },
  };
}

function ended(response, id, mount) {
  const headers = response.headers.filter(([name]) => !/^x-(correlation-id|valor-plugin)$/.test(name));
  headers.push(["x-correlation-id", id], ...(mount ? [["x-valor-plugin", mount.name]] : []));
  return { ...response, headers };
}

async function answer(request) {
  const id = idOf(request.headers);
  const [path] = request.target.split("?");
  const own = /^\/_(health|plugins)(\/.*)?$/.exec(path);
  if (own) return ended(await OWN[own[1]](request, own[2] ?? ""), id, { name: `_${own[1]}` });
  const found = route(byPrefix, path);
  if (!found) return ended(problem(404, `no vlugin is mounted at ${path}`), id);
  const [mount, length] = found;
  const { strip = true, rewrite = false } = mount.definition;
  request.headers = without(request.headers, "x-forwarded-prefix");
  if (strip) {
    const rest = request.target.slice(length);
    if (length) request.headers.push(["x-forwarded-prefix", path.slice(0, length)]);
    request.target = rest.startsWith("/") ? rest : `/${rest}`;
  }
  const response = await run(mount, request, id);
  return rewrite ? { ...response, headers: below(mount.prefix, response.headers) } : response;
}

async function run(mount, request, id) {
  const { name, limits } = mount;
  if (mount.unavailable) return ended(problem(503, `the vlugin \`${name}\` is not available: it is ${lackOf(mount)}`), id, mount);
  const later = (detail) => ended(problem(503, detail, ["retry-after", "1"]), id, mount);
  const large = `the body is over the limit of ${limits.body} bytes`;
  if (mount.running >= limits.concurrency) return later(`the vlugin \`${name}\` runs ${mount.running} requests already`);
  if (mount.ready?.account?.isNearlyFull) return later(`the vlugin \`${name}\` has too much under way; try again later`);
  if ((request.length ?? 0) > limits.body) return ended(problem(413, large), id, mount);
  let over = false;
  let left = limits.body;
  const count = (piece, controller) => {
    left -= piece.length;
    over ||= left < 0;
    if (over) controller.error(new Error(large));
    else controller.enqueue(piece);
  };
  if (request.body instanceof ReadableStream) request.body = request.body.pipeThrough(new TransformStream({ transform: count }));
  request.headers = [...without(request.headers, "x-request-id"), ["x-request-id", id]];
  const stop = new AbortController();
  const late = new Fault("timeout", 504, `no response within ${limits.timeout} s`);
  const timer = setTimeout(() => stop.abort(late), limits.timeout * 1000);
  const gone = () => stop.abort(new Fault("error", 499, "the client has gone"));
  if (request.signal?.aborted) gone();
  request.signal?.addEventListener("abort", gone, { once: true });
  mount.running++;
  let response;
  try {
    const guest = await prepare(mount);
    response = await guest.request({ ...request, signal: stop.signal });
    const unfit = noAnswer(response.status);
    if (unfit || !mayHaveBody(response.status)) {
      response.body?.cancel?.();
      response.body = null;
    }
    if (unfit) throw new Fault("error", 500, unfit);
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault("error", 502, String(error.message ?? error));
    const what = fault.kind === "panic" ? "panicked" : "failed";
    const message = fault.message.slice(0, LINE);
    console[fault.status < 500 ? "debug" : "error"](`valor: the vlugin \`${name}\` ${what}: ${message} (id ${id})${fault.at ?? ""}`);
    const said =
      fault.status < 500 || fault.kind === "away" ? message
      : fault.kind === "timeout" && stop.signal.reason === late ? `the vlugin \`${name}\` did not answer within ${limits.timeout} s`
      : `the vlugin \`${name}\` failed; the log says why, under id ${id}`;
    response = problem(fault.status, said);
  }
  clearTimeout(timer);
  const done = () => {
    mount.running--;
    request.signal?.removeEventListener("abort", gone);
  };
  if (over) {
    response.body?.cancel?.();
    response = problem(413, large);
  }
  if (response.body instanceof ReadableStream) {
    // Its end is noticed, however it comes.
    const { readable, writable } = new TransformStream();
    response.body.pipeTo(writable).then(done, done);
    response.body = readable;
  } else done();
  return ended(response, id, mount);
}

const notAllowed = (methods) => problem(405, `the methods here are ${methods}`, ["allow", methods]);

/** What is said to everybody of one that is not there, in the server's words. */
const lackOf = ({ definition }) => (definition.optional ? "not installed" : "not loaded");

const describe = ({ name, prefix, definition, generation, unavailable, running, limits: { timeout, body, concurrency }, sha256, version = null }) => ({
  file: addressOf(definition),
  generation, limits: { timeout, body, concurrency }, name, prefix,
  reason: unavailable ?? null, running, runs: runsIn(definition), sha256: sha256 ?? definition.sha256 ?? null,
  state: unavailable ? "unavailable" : "ready", type: definition.type, version,
});

/** A value with what a patch says otherwise (RFC 7396); null takes a key out. */
function merged(value, patch) {
  const isObject = (it) => Object(it) === it && !Array.isArray(it);
  if (!isObject(patch)) return patch;
  const entries = new Map(isObject(value) ? Object.entries(value) : []);
  for (const [key, it] of Object.entries(patch))
    if (it === null) entries.delete(key);
    else entries.set(key, merged(entries.get(key), it));
  return Object.fromEntries(entries);
}

/** The definition in a request's body; of a PATCH, what comes of `old` by it. */
async function definitionOf({ method, headers, body }, old) {
  const isPatch = method === "PATCH";
  const kind = headers.find(([name]) => name === "content-type")?.[1];
  if (!(isPatch ? /^\s*application\/(merge-patch\+)?json\s*(;|$)/i : /^\s*application\/json\s*(;|$)/i).test(kind))
    refuse(415, "a definition is sent as application/json");
  const text = await new Response(body).text();
  if (text.length > LONGEST) refuse(413, `the definition is over ${LONGEST} bytes`);
  let definition;
  try {
    definition = JSON.parse(text);
  } catch (error) {
    refuse(400, `the body is not JSON: ${error.message}`);
  }
  if (isPatch) definition = merged(old.definition, definition);
  if (definition?.source !== undefined)
    refuse(422, "`source` is for plugins.json: over HTTP nothing is built");
  await checked(definition, true);
  fit(definition);
  return definition;
}

async function plugins(request, path) {
  const name = path.slice(1);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const found = () => {
    if (byName.has(name)) return byName.get(name);
    refuse(404, `no vlugin is named \`${name}\``);
  };
  if (!name && method === "GET") return json(200, { plugins: [...byName.keys()].sort().map((key) => describe(byName.get(key))) });
  if (method === "GET") return json(200, describe(found()));
  if (name && method === "DELETE") {
    remove(found());
    await save();
    return { status: 204, headers: [], body: null };
  }
  if (name ? !/^(PUT|PATCH)$/.test(method) : method !== "POST") return notAllowed(name ? "GET, HEAD, PUT, PATCH, DELETE" : "GET, HEAD, POST");
  const old = name ? found() : null;
  const definition = await definitionOf(request, old);
  if (old && definition.name !== name)
    refuse(422, `the definition is of \`${definition.name}\`, but the path names \`${name}\`: they have to be the same`);
  const fresh = mount(definition);
  const free = () => {
    const at = byPrefix.get(fresh.prefix);
    if (!old && byName.has(fresh.name)) refuse(409, `the name \`${fresh.name}\` is taken`);
    if (at && at.name !== old?.name) refuse(409, `the prefix ${fresh.prefix} is taken by the vlugin \`${at.name}\``);
  };
  free();
  try {
    await prepare(fresh);
  } catch (error) {
    refuse(422, error.message);
  }
  free();
  if (old) remove(found());
  fresh.listed = old?.listed;
  insert(fresh);
  await save();
  const response = json(old ? 200 : 201, describe(fresh));
  if (!old) response.headers.push(["location", `/_plugins/${fresh.name}`]);
  return response;
}

const OWN = {
  health: async ({ method }, path) => {
    if (!/^(GET|HEAD)$/.test(method)) return notAllowed("GET, HEAD");
    if (path === "/live") return json(200, { status: "live" });
    if (!["", "/", "/ready"].includes(path))
      return problem(404, `there is no /_health${path}: /_health, /_health/live and /_health/ready`);
    // Only optional ones can be missing here, and that is no fault.
    const unavailable = [...byName.values()].filter((m) => m.unavailable).map((m) => [m.name, lackOf(m)]);
    return json(200, { status: "ready", unavailable: Object.fromEntries(unavailable) });
  },
  plugins: (request, path) =>
    plugins(request, path).catch((error) => {
      if (!(error instanceof Fault)) throw error;
      return problem(error.status, error.message);
    }),
};

function matches(path) {
  if (/^\/_(health|plugins)(\/|$)/.test(path)) return true;
  const found = route(byPrefix, path);
  return found && !isElsewhere(found[0].definition);
}

/** A body as the page is to have it: what a vlugin has compressed itself, nobody behind a service worker unpacks. */
function decoded({ body, headers, ...response }) {
  const codings = headers.filter(([name]) => name === "content-encoding").flatMap(([, value]) => value.toLowerCase().split(/\s*,\s*/));
  if (!body || !codings.length) return { ...response, body, headers };
  let steps;
  try {
    // In the order in which they were applied (RFC 9110, section 8.4).
    steps = codings.reverse().map((coding) => new DecompressionStream({ br: "brotli", "x-gzip": "gzip" }[coding] ?? coding));
  } catch {
    // One that this browser cannot undo is the page's to see.
    return { ...response, body, headers };
  }
  const stream = body instanceof ReadableStream ? body : new Response(body).body;
  return {
    ...response,
    headers: headers.filter(([name]) => !/^content-(encoding|length)$/.test(name)),
    body: steps.reduce((from, step) => from.pipeThrough(step), stream),
  };
}

async function respond(event, url, path) {
  const { request } = event;
  const [query = ""] = /\?[^#]*/.exec(url.href) ?? [];
  const asked = {
    method: request.method,
    target: path + query,
    https: url.protocol === "https:",
    headers: [...request.headers, ["host", url.host]],
    body: null,
    signal: request.signal,
    event,
  };
  // It is added on the way to the network alone.
  if (!request.headers.has("accept-language")) asked.headers.push(["accept-language", navigator.languages.join()]);
  const length = request.headers.get("content-length");
  // Chromium has no `request.body` for a form: it is read whole.
  if (!["GET", "HEAD"].includes(request.method))
    asked.body = request.body ?? new Uint8Array(await request.arrayBuffer());
  asked.length = length === null ? (asked.body?.length ?? null) : +length;
  const { status, headers, body } = decoded(await answer(asked));
  const bodyless = request.method === "HEAD" || !mayHaveBody(status);
  if (bodyless) body?.cancel?.();
  // Chromium would keep one of several values; and framing is not the vlugin's.
  const joined = {};
  for (const [name, value] of headers)
    if (!/^(content-length|transfer-encoding|connection|keep-alive)$/.test(name))
      joined[name] = name in joined ? `${joined[name]}, ${value}` : value;
  return new Response(bodyless ? null : body, { status, headers: joined });
}

// plugins.json is read when the page asks, so that it hears what is wrong.
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== location.origin) return;
  const path = resolve(url.pathname);
  // A woken worker has no registry yet.
  if (registry) return matches(path) && event.respondWith(respond(event, url, path));
  const later = awake().then(
    () => (matches(path) ? respond(event, url, path) : fetch(event.request)),
    () => fetch(event.request),
  );
  event.respondWith(later);
});
addEventListener("message", (event) => {
  const { data, ports: [port] } = event;
  if (data === "valor:claim") return event.waitUntil(clients.claim());
  if (data !== "valor:load") return;
  const offline = (error) => {
    // Without the network, what was kept goes on.
    if (!(error instanceof TypeError && registry)) throw error;
  };
  const loaded = awake().then(() => load().catch(offline));
  event.waitUntil(loaded.then(() => port.postMessage(null), (error) => port.postMessage(error.message)));
});
