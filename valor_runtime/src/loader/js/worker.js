// One JavaScript vlugin, in a worker with permissions for its own folder only. It answers Valor's requests on a socket:
// those of clients unchanged, and Valor's own, whose paths begin with a token that the vlugin does not know. On a
// loopback port, where every program on the machine can connect, the paths of all requests begin with it, and others
// are refused. What the vlugin asks for (asks.js) is the answer to a waiting request of Valor's, so that nothing here
// needs a connection to anywhere.
//
// A handler gets the very Request that Deno's server made, which is several times cheaper than a new one: parts that it
// never reads are never created. Only its URL is corrected (urls.js), since Deno's is that of the socket. A request
// whose head is too large for Deno's server comes as a message (heads.js).
//
// A vlugin whose bytes were checked is loaded from them, and not from its file (pinned.js). Errors of Workers that it
// creates use Valor's words (workers.js).
//
// The vlugin runs in this realm and may change anything in it. So everything that the link and its token pass through
// was taken aside before. That serves to find faults early: neither the supervisor nor Valor believes anything that a
// script says about itself. It talks to the supervisor as every script can, with `postMessage`.

import { AsyncLocalStorage } from "node:async_hooks";

const { serve, permissions, inspect } = Deno;
const { Console } = Deno[Deno.internal];
// Code can reach every resource of the realm with it, by the resource's number.
delete Deno[Deno.internal];
const { fetch: nativeFetch, Promise: NativePromise, Response: NativeResponse } = globalThis;
const listen = globalThis.addEventListener;
const later = globalThis.setTimeout;
const LEVELS = ["error", "warn", "info", "debug", "trace"];
const OWN = new URL(".", import.meta.url).href;
const SENT = [["accept", "*/*"], ["accept-language", "*"], ["user-agent", navigator.userAgent]];
/** The most bytes of a text in a line of the log. */
const LONGEST = 16384;
/** The most bytes of a text for the supervisor. */
const TOLD = 4096;

let name, config, folder, token, level, script;

// ---- where something happened ----

/** The places of a stack that are in the vlugin's code, innermost first. */
function places(stack) {
  const found = [];
  for (const line of String(stack).split("\n")) {
    const match = /(file:\/\/\S+?):(\d+):(\d+)\)?$/.exec(line);
    if (!match || match[1].startsWith(OWN)) continue;
    found.push({ file: shown(match[1]), line: Number(match[2]), column: Number(match[3]) });
  }
  return found;
}

const shown = (url) => decodeURIComponent(url.startsWith(folder) ? url.slice(folder.length) : url);
const at = (place) => `${place.file}:${place.line}:${place.column}`;

function log(what, message, error) {
  if (LEVELS.indexOf(what) > level || isLeftOut()) return;
  say(LEVELS.indexOf(what), cut(message, LONGEST), places(error?.stack)[0] ?? { file: script });
}

/** An error as one line, with every place of its stack. */
function described(error, depth = 0) {
  if (!(error instanceof Error)) return `threw ${inspect(error)}`;
  const message = error.message.replaceAll(folder, "");
  // The parser's errors have their own name and place in the message.
  let text = /^\w*Error: /.test(message) ? message : `${error.name}: ${message}`;
  text += placed(error, text);
  if (error.cause !== undefined && depth < 8) text += `; caused by ${described(error.cause, depth + 1)}`;
  return text;
}

/** Every place of an error's stack, to follow a text that does not contain them. */
function placed(error, text = "") {
  const trace = places(error.stack).map(at);
  return trace.length > 0 && !text.endsWith(trace[0]) ? ` at ${trace.join(", ")}` : "";
}

function uncaught(what, error) {
  log("error", `${what}: ${described(error)}`, error);
}

/** Makes the errors of permissions say what applies here, and not which option of Deno to use. */
function remedied() {
  const { NotCapable } = Deno.errors;
  const { construct, getPrototypeOf, setPrototypeOf } = Reflect;
  const Native = getPrototypeOf(NotCapable);
  function Remedied(message, options) {
    return construct(Native, [plain(String(message)), options], new.target);
  }
  setPrototypeOf(Remedied, Native);
  // What a class calls with `super` is its prototype at that moment.
  setPrototypeOf(NotCapable, Remedied);
}

// ---- requests ----

const listeners = [];
const pending = new Set();
let handler = null;
let env;

function waitUntil(promise) {
  const it = Promise.resolve(promise).catch((error) => uncaught("waitUntil", error));
  pending.add(it);
  it.finally(() => pending.delete(it));
}

function passThroughOnException() {}

/** What goes with one request. Few handlers ask for the peer, so it is created on demand. */
const contextOf = (peer) => ({
  waitUntil,
  passThroughOnException,
  get peer() {
    return peerOf(peer);
  },
});

class FetchEvent extends Event {
  #answer = null;
  constructor(type, { request, peer = null } = {}) {
    super(type, { cancelable: true });
    Object.defineProperties(this, { request: { value: request }, env: { value: env }, peer: { value: peer } });
  }
  respondWith(response) {
    if (this.#answer) throw new DOMException("respondWith was called already", "InvalidStateError");
    this.#answer = Promise.resolve(response);
    this.stopImmediatePropagation();
  }
  waitUntil(promise) {
    waitUntil(promise);
  }
  static answer(event) {
    return event.#answer;
  }
}

const answerOf = FetchEvent.answer;
delete FetchEvent.answer;

/** Makes the realm accept `fetch` listeners as a service worker's does. */
function listening() {
  const { addEventListener, removeEventListener } = globalThis;
  globalThis.addEventListener = function (type, listener, options) {
    if (type !== "fetch") return addEventListener.call(globalThis, type, listener, options);
    if (listener && !listeners.includes(listener)) listeners.push(listener);
  };
  globalThis.removeEventListener = function (type, listener, options) {
    if (type !== "fetch") return removeEventListener.call(globalThis, type, listener, options);
    const at = listeners.indexOf(listener);
    if (at >= 0) listeners.splice(at, 1);
  };
  let onfetch = null;
  Object.defineProperty(globalThis, "onfetch", {
    configurable: true,
    enumerable: true,
    get: () => onfetch,
    set(listener) {
      const at = listeners.indexOf(onfetch);
      onfetch = typeof listener === "function" ? listener : null;
      if (at < 0 && onfetch) listeners.push(onfetch);
      else if (at >= 0) listeners.splice(at, 1, ...(onfetch ? [onfetch] : []));
    },
  });
}

function dispatched(request, peer) {
  const event = new FetchEvent("fetch", { request, peer: peerOf(peer) });
  for (const listener of [...listeners]) {
    if (typeof listener === "function") listener.call(globalThis, event);
    else listener.handleEvent(event);
    const answer = answerOf(event);
    if (answer) return answer;
  }
  const error = new Error("no listener of `fetch` called respondWith");
  error.status = 502;
  error.stack = "";
  throw error;
}

function failed(error) {
  let { status } = error ?? {};
  const isStatus = Number.isInteger(status) && status >= 400 && status <= 599;
  const own = isStatus && isOwn(error);
  // A refusal of Valor's that the vlugin does not catch reveals its surroundings: it becomes the vlugin's failure.
  if (!own) status = isStatus && status >= 500 ? status : 500;
  let message = own ? String(error.message) : described(error);
  if (status >= 500 && own) message += placed(error);
  const headers = { __proto__: null, "x-valor-fault": token };
  const text = JSON.stringify({ status, message: cut(message, LONGEST) });
  return new NativeResponse(text, { __proto__: null, status: 500, headers });
}

const answering = (request, peer) =>
  handler ? handler.fetch(request, env, contextOf(peer)) : dispatched(request, peer);

/** The result of a handler, once it is known to be a response that can be sent. */
function checked(response) {
  if (!(response instanceof Response))
    throw new TypeError(`the answer is ${inspect(response, { depth: 0 })}, not a Response`);
  if (response.bodyUsed) throw new TypeError("the body of the Response has been read already");
  if (isLocked(response)) throw new TypeError("the body of the Response is locked: a reader or a pipe has it");
  if (response.status === 0) throw new TypeError("the answer is Response.error()");
  // Only Deno can create one with status 101, and its server then drops the connection.
  if (response.status === 101) {
    throw new TypeError("the answer switches protocols (status 101): answer with a status from 200 on");
  }
  return response;
}

async function settled(answer) {
  try {
    return checked(await answer);
  } catch (error) {
    return failed(error);
  }
}

function answer(incoming, url, peer, isRequest = true) {
  try {
    const request = isRequest && matches(PLAIN, url) ? incoming : rewritten(incoming, url);
    const answer = ofRequest.run(request, answering, request, peer);
    return answer instanceof Response ? checked(answer) : settled(answer);
  } catch (error) {
    return failed(error);
  }
}

function refused() {
  return new NativeResponse(null, { __proto__: null, status: 403 });
}

function serving(request) {
  const raw = urlOf(request);
  const path = indexOf(raw, "/", scheme.length);
  if (!begins(raw, path)) return isOpen ? refused() : answer(request, `http://${slice(raw, scheme.length)}`, "");
  const what = slice(raw, path + own.length);
  if (what[0] !== "!") {
    const [peer, held] = saidIn(raw, path);
    return answer(held === null ? request : heldBack(request, held), marked(raw, path), peer, held === null);
  }
  switch (what) {
    case "!poll":
      return poll();
    case "!whole":
      return whole(request);
    case "!pieces":
      return pieces(request);
    case "!request":
      return large(request);
    default:
      if (startsWith(what, "!fault/")) return refusedBy(what);
      return uploaded(+slice(what, "!body".length));
  }
}

/** A request whose body Valor sends once it has heard that someone reads it. */
function heldBack({ method, headers, signal, body }, id) {
  let reader;
  const source = {
    __proto__: null,
    async pull(controller) {
      if (!reader) {
        emit(READS, id);
        reader = body.getReader();
      }
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => (reader ?? body).cancel(reason),
  };
  return { method, headers, signal, body: body && new ReadableStream(source, { __proto__: null, highWaterMark: 0 }) };
}

/** A request whose head comes as a message, before its body. */
async function large(incoming) {
  const reader = incoming.body.getReader();
  const [bytes, body] = await headOf(reader, 0);
  const { method, target, https, peer, headers } = decodeMessage(bytes, 0);
  const url = `http${https ? "s" : ""}://${headers.get("host") || "localhost"}${target}`;
  return answer({ method, headers, signal: incoming.signal, body: restOf(reader, body) }, url, peer, false);
}

// ---- the life of the vlugin ----

let imported = (file) => import(file);

/** How to import the script, unless its file is the text that was checked (supervisor.js). */
export function importing(load) {
  imported = load;
}

async function load(file) {
  const module = await imported(file);
  const exported = module.default;
  if (typeof exported?.fetch === "function") handler = exported;
  else if (exported !== undefined)
    throw new TypeError(
      "its default export has no `fetch` method: export default { async fetch(request, env, ctx) { … } }",
    );
  else if (listeners.length === 0)
    throw new TypeError(
      "it handles no requests: export default { async fetch(request, env, ctx) { … } }, or " +
        'addEventListener("fetch", …)',
    );
  try {
    // `in`, because a router that is a Proxy has a method of every name.
    if (Object(handler) === handler && "create" in handler) await handler.create(env);
  } catch (error) {
    throw new Error(`create: ${described(error)}`, { cause: "create" });
  }
}

/** Why the module is not loaded, with the parser's output. */
function unloaded(error) {
  const text = error?.cause === "create" ? error.message.slice("create: ".length) : described(error);
  return cut(text, TOLD);
}

async function begin(data) {
  ({ name, config, folder, token, level } = data);
  script = shown(data.file);
  own = `/${token}`;
  const { socket } = data;
  isOpen = socket === undefined;
  scheme = isOpen ? "http://" : "http+unix://";
  const where = isOpen ? { hostname: "127.0.0.1", port: 0 } : { path: socket };
  await using server = serve({ ...where, onListen() {}, onError: isOpen ? refused : failed }, serving);
  if (!isOpen) for (const right of ["read", "write"]) await permissions.revoke({ name: right, path: socket });
  await permissions.revoke({ name: "net" });
  tell({ __proto__: null, event: "listening", port: server.addr.port });

  translate();
  advise(data.hints, data.rights);
  remedied();
  nesting();
  globalThis.fetch = fetch;
  globalThis.console = new Console((text, number) => {
    log(["debug", "info", "warn", "error"][number] ?? "info", text.replace(/\n$/, ""), new Error());
  });
  globalThis.FetchEvent = FetchEvent;
  listening();
  noting();
  globalThis.valor = Object.freeze({ call, name, config });
  env = Object.freeze({ call, name, config });
  // They write to the disk without a limit, ask whoever sits at the terminal, and end the worker unnoticed.
  for (const strange of ["caches", "alert", "confirm", "prompt"]) delete globalThis[strange];
  globalThis.close = Deno.exit = () => {
    throw new Error("a vlugin cannot end its process");
  };
  listen.call(globalThis, "unhandledrejection", (event) => {
    event.preventDefault();
    uncaught("uncaught, in a promise", event.reason);
  });
  listen.call(globalThis, "error", (event) => {
    event.preventDefault();
    if (event.error === null) log("error", `uncaught: ${event.message}`);
    else uncaught("uncaught", event.error ?? event.message);
  });

  try {
    if (data.source !== undefined) pin(data.file, data.source);
    await load(data.file);
    tell({ __proto__: null, event: "ready" });
  } catch (error) {
    tell({ __proto__: null, event: "failed", message: unloaded(error) });
  }
  await new Promise(() => {});
}

async function stop() {
  await Promise.allSettled(pending);
  tell({ __proto__: null, event: "stopped" });
}

const tell = globalThis.postMessage;
/** What hides a message from the vlugin's own listeners. */
const { stopImmediatePropagation: hide } = Event.prototype;
let hasBegun = false;

// The supervisor says what to begin with, then asks whether the event loop comes round, and finally stops it.
listen.call(globalThis, "message", (event) => {
  apply(hide, event, []);
  const { data } = event;
  if (!hasBegun) {
    hasBegun = true;
    begin(data);
  } else if (data.ping) {
    tell({ __proto__: null, pong: data.ping });
  } else {
    stop();
  }
});
