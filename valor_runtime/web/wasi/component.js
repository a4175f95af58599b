// WebAssembly components as vlugins: `valor_cli web` has made modules of them (js-component-bindgen), which
// valor-vlugins.js imports and names here. A request gets an instance of its own with wasi:http 0.2; with 0.3, all
// requests share one until it traps. A definition's `instance` says otherwise.

import { Account } from "../account.js";
import { METHODS } from "../valor-js.js";
import { Fault, fetch, refuse } from "../valor-rules.js";
import { kinds } from "../valor-registry.js";
import { addressOf } from "../valor-store.js";
import { imports as hosted } from "./host.js";
import * as p2 from "./http-p2.js";
import * as p3 from "./http-p3.js";

const BASE = new URL("../", import.meta.url);
const CACHE = `valor components ${BASE}`;
const JSPI =
  "this browser cannot suspend WebAssembly (JSPI), which components need: take Chromium 137, Safari 27 or a new " +
  "Firefox, or leave the vlugin to a server";

/** How long an instance of 0.3 may go on with a request that nobody waits for, in ms, as on a server. */
const GRACE = 10000;
const OVER = new Fault("error", 502, "its requests are over");

/** The components that were imported, by the address of their modules. */
const imported = new Map();

/** Notes what valor-vlugins.js has imported: where, SHA-256 of the components, their modules, and what these load. */
export function components(list) {
  for (const [path, sha256, module, version, cores] of list)
    imported.set(new URL(path, BASE).href, { sha256, module, version, cores });
}

/** Removes files of earlier versions. */
async function tidy(cache) {
  const named = new Set([...imported.values()].flatMap(({ cores }) => cores.map(keyOf)));
  for (const { url } of await cache.keys()) if (!named.has(url)) await cache.delete(url);
}

const keyOf = ([, path, sha256]) => new URL(`${path}?valor=${sha256}`, BASE).href;

/** A core module, as it was kept or from the network. */
async function core([file, path, sha256]) {
  const cache = await caches.open(CACHE);
  const key = keyOf([file, path, sha256]);
  let kept = await cache.match(key);
  if (!kept) {
    const url = new URL(path, BASE).href;
    const answer = await fetch(url, { cache: "no-cache" });
    if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
    const bytes = await answer.arrayBuffer();
    const found = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    if (found !== sha256) throw new Error(`${url} has the SHA-256 ${found}, and its component was made with ${sha256}`);
    kept = new Response(bytes, { headers: { "content-type": "application/wasm" } });
    await cache.put(key, kept.clone());
    tidy(cache).catch(() => {});
  }
  return [file, await WebAssembly.compileStreaming(kept)];
}

/** What one instance may use, and what ends with it. */
class Instance {
  #stop = new AbortController();
  timers = new Set();
  ends = [];
  trapped = null;
  /** What it was told last: the `reason` why a request of it was refused, and the `last` line of its stderr. */
  told = {};

  constructor({ name, config, host, account }) {
    Object.assign(this, { name, config, host, account, signal: this.#stop.signal });
  }

  /** Notes that the component trapped, and returns the fault. */
  trap(error) {
    if (!this.trapped) {
      const how = error?.isOver ? "was ended" : "trapped";
      // A program that gives up says why on stderr, and then runs into `unreachable`.
      const what = error?.message ?? error;
      const why = /unreachable/.test(what) && this.told.last ? `${this.told.last} (${what})` : what;
      this.trapped = new Fault("error", 502, `it ${how}: ${why}`);
      this.end(this.trapped);
      this.host.log(1, this.name, String(error?.stack ?? error).slice(0, 8192));
    }
    return this.trapped;
  }

  get isOver() {
    return this.signal.aborted;
  }

  /** Ends what runs for it. */
  end(reason) {
    for (const end of [...this.timers, ...this.ends.splice(0)]) end();
    this.#stop.abort(reason);
  }
}

/** A component in this realm, with the interface of a guest. */
class Component {
  static async create(mount, host) {
    const { name, definition, limits } = mount;
    const { config = null, sha256 } = definition;
    const url = addressOf(definition);
    const known = imported.get(url);
    if (!known) refuse(422, `${url} is no component here: run \`valor_cli web\` with a plugins.json that lists it`);
    if (sha256 && sha256.toLowerCase() !== known.sha256)
      refuse(422, `its component has the SHA-256 ${known.sha256}, and the definition says ${sha256}`);
    mount.sha256 = known.sha256;
    if (!WebAssembly.Suspending || !WebAssembly.promising) throw new Error(JSPI);
    const cores = await Promise.all(known.cores.map(core));
    const made = new Component();
    const { instance } = definition;
    made.isShared = instance ? instance === "shared" : known.version === 3;
    Object.assign(made, { known, cores: new Map(cores), given: { name, config, host, account: new Account(limits) } });
    // A component that cannot be instantiated is refused when it is loaded.
    made.next = await made.instantiate();
    return made;
  }

  get account() {
    return this.given.account;
  }

  get trapped() {
    return (this.isShared && this.next?.instance.trapped) || null;
  }

  async instantiate() {
    const instance = new Instance(this.given);
    const version = this.known.version === 3 ? p3 : p2;
    const imports = { ...hosted(instance), ...version.imports(instance), "valor:host": instance };
    const exports = await this.known.module.instantiate((file) => Promise.resolve(this.cores.get(file)), imports);
    const { handle } = exports.incomingHandler ?? exports.handler;
    return { instance, handle, load: 0, isRetired: !this.isShared };
  }

  async request(request) {
    const { method, signal } = request;
    if (!METHODS.has(method)) throw new Fault("error", 501, `\`${method}\` is no method that is known here`);
    if (signal.aborted) throw signal.reason;
    const { version } = this.known;
    if (version === 2 && this.isShared) return this.#turn(request);
    const used = await this.#instance();
    const { instance, handle } = used;
    const over = AbortSignal.any([signal, instance.signal]);
    const answering = (version === 3 ? p3 : p2).answer(instance, handle, { ...request, signal: over });
    const answer = this.#raced(over, answering);
    if (!this.isShared) signal.addEventListener("abort", () => instance.end(signal.reason), { once: true });
    // An instance of 0.2 ends when it returns.
    if (version === 2) return answer;
    used.load++;
    if (this.isShared) this.#watched(signal, used, answering);
    return ending(answer, () => {
      if (!--used.load && used.isRetired) instance.end(OVER);
    });
  }

  /** The instance for a request, which gets no other one unless it is shared. */
  async #instance() {
    const { isShared, next } = this;
    if (!isShared) this.next = null;
    if (next) return next;
    if (!isShared) return this.instantiate();
    this.making ??= this.instantiate().finally(() => (this.making = null));
    return (this.next = await this.making);
  }

  /** An instance that goes on for too long with a request that was given up gets no more of them. */
  #watched(signal, used, answering) {
    let timer;
    const retire = () => {
      used.isRetired = true;
      if (this.next === used) this.next = null;
      if (!used.load) used.instance.end(OVER);
    };
    const gone = () => (timer = setTimeout(retire, GRACE));
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", gone);
    };
    signal.addEventListener("abort", gone, { once: true });
    answering.then(done, done);
  }

  /** An instance of 0.2 answers one request after the other. If one is given up meanwhile, the instance ends. */
  async #turn(request) {
    const { signal } = request;
    while (this.running) await this.running;
    if (signal.aborted) throw signal.reason;
    const { instance, handle } = this.next;
    if (instance.trapped) throw instance.trapped;
    let gone;
    const ended = new Promise((end) => (gone = () => end(instance.trap(signal.reason))));
    signal.addEventListener("abort", gone, { once: true });
    const answering = p2.answer(instance, handle, request, true);
    this.running = Promise.race([instance.running, ended]).then(() => {
      signal.removeEventListener("abort", gone);
      this.running = null;
    });
    return this.#raced(signal, answering);
  }

  /** An answer, unless the request ends before; then its body is not read. */
  async #raced(signal, answering) {
    const gone = new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      return await Promise.race([answering, gone]);
    } catch (error) {
      answering.then((late) => late.body?.cancel?.(), () => {});
      throw error;
    }
  }
}

/** An answer, at whose end something is done. */
async function ending(answer, end) {
  try {
    const response = await answer;
    if (response.body instanceof ReadableStream) {
      const { readable, writable } = new TransformStream();
      response.body.pipeTo(writable).then(end, end);
      response.body = readable;
    } else end();
    return response;
  } catch (error) {
    end();
    throw error;
  }
}

kinds.wasi = (mount, host) => Component.create(mount, host);
