// One JavaScript vlugin, in a worker with permissions for its own folder alone. It answers Valor's requests on a
// socket: those of clients as they are, and Valor's own, whose paths begin with a token that the vlugin does not
// know. On a port of the loopback, where every program of the machine can connect, the paths of all requests begin
// with it, and others are refused. What the vlugin asks for (fetch, call, a line for the log) is given to Valor as
// the answer to a request that waits for it, so that nothing here needs a connection to anywhere.
//
// A handler gets the very Request that Deno's server made, which is several times cheaper than a new one: what is
// not asked of it is never made. Its URL alone is put right (urls.js), since Deno's is that of the socket.

import { AsyncLocalStorage } from "node:async_hooks";

const { serve, permissions, inspect } = Deno;
const { Console } = Deno[Deno.internal];
const nativeFetch = globalThis.fetch;
const listen = globalThis.addEventListener;
const later = globalThis.setTimeout;
const LEVELS = ["error", "warn", "info", "debug", "trace"];
const OWN = import.meta.url;
const SENT = [["accept", "*/*"], ["accept-language", "*"], ["user-agent", navigator.userAgent]];
/** Characters in a line of the log. */
const LONGEST = 16384;

let name, config, folder, token, level, port;

// ---- what is asked of Valor ----

/** The request that code runs for: what was begun for a client that is gone ends with its signal. */
const ofRequest = new AsyncLocalStorage();
const events = [];
let waiting = null;
const asked = new Map();
let lastId = 0;

/** JSON that fits into a header. */
const ascii = (value) =>
  JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

function emit(head, body = null) {
  const response = new Response(body, { headers: { "x-valor-head": ascii(head) } });
  if (waiting) {
    waiting(response);
    waiting = null;
  } else {
    events.push(response);
  }
}

/** Valor waits for what the vlugin asks for next. */
function poll() {
  if (events.length > 0) return events.shift();
  return new Promise((resolve) => {
    waiting = resolve;
  });
}

function ask(op, target, request, body, url) {
  const client = ofRequest.getStore()?.signal;
  const signal = client ? AbortSignal.any([request.signal, client]) : request.signal;
  if (signal.aborted) return Promise.reject(signal.reason);
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    const abort = () => {
      if (!asked.delete(id)) return;
      emit({ op: "cancel", id });
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
    asked.set(id, { resolve, reject, signal, url, method: request.method });
    const headers = [...request.headers];
    emit({ op, id, name: target, method: request.method, url, headers }, body);
  });
}

const abandoned = new FinalizationRegistry((finish) => finish());

/** Valor has what was asked for; the answer to this is due when the body has been read. */
async function result(request, head) {
  const [id, status, rest] = JSON.parse(head);
  const it = asked.get(id);
  asked.delete(id);
  if (!it) return new Response(null);
  try {
    return await given(it, request, status, rest);
  } catch (error) {
    it.reject(error);
    return new Response(null);
  }
}

function given(it, request, status, rest) {
  if (status === null) {
    const error = new TypeError(rest.message);
    error.status = rest.status;
    it.reject(error);
    return new Response(null);
  }
  const done = Promise.withResolvers();
  const finish = () => done.resolve(new Response(null));
  let body = null;
  if (request.body && ![204, 205, 304].includes(status) && it.method !== "HEAD") {
    const reader = request.body.getReader();
    const stop = (reason) => {
      reader.cancel(reason).catch(() => {});
      finish();
    };
    let control;
    const abort = () => {
      control?.error(it.signal.reason);
      stop(it.signal.reason);
    };
    // Without a prototype: what a vlugin has put into that of all objects is no part of it.
    const source = {
      __proto__: null,
      start(controller) {
        control = controller;
      },
      async pull(controller) {
        let part;
        try {
          // Deno gives a body without bytes as one piece of none.
          do part = await reader.read();
          while (part.value?.length === 0);
        } catch {
          finish();
          // Where it is passed on, Deno throws away what it has not sent when the error comes.
          await new Promise((resolve) => later(resolve, 10));
          throw new TypeError(`the response from ${it.url} broke off`);
        }
        if (part.done) {
          it.signal.removeEventListener("abort", abort);
          controller.close();
          finish();
        } else {
          controller.enqueue(part.value);
        }
      },
      cancel: stop,
    };
    it.signal.addEventListener("abort", abort, { once: true });
    // One piece is read ahead, so that an end or an error is known before somebody asks for it.
    body = new ReadableStream(source, { __proto__: null, highWaterMark: 1 });
    abandoned.register(body, stop);
  } else {
    finish();
  }
  const response = new Response(body, { status, headers: rest });
  Object.defineProperty(response, "url", { value: it.url, configurable: true });
  it.resolve(response);
  return done.promise;
}

/** The body to send: as it was given where its length is known, so that it is announced. */
function sent(request, init) {
  const given = init?.body;
  const whole = typeof given === "string" || given instanceof Uint8Array || given instanceof ArrayBuffer || given instanceof Blob || given instanceof URLSearchParams;
  return whole && request.body ? given : request.body;
}

/** What is asked for; a fault in it is the asker's. */
function asking(input, init) {
  try {
    // A path alone is nobody's: there is no page that it could start from.
    return new Request(input instanceof Request ? input : new URL(input), init);
  } catch (error) {
    throw Object.assign(error, { status: 400 });
  }
}

/** A response from a server, which the vlugin did not make: as Deno's own `fetch` gives it, and so are its copies. */
function fetched(response, url, redirected) {
  const { clone, headers } = response;
  const refuse = () => {
    throw new TypeError("the headers of a response from a server cannot be changed: make a new Response of it");
  };
  for (const method of ["append", "delete", "set"]) Object.defineProperty(headers, method, { value: refuse });
  return Object.defineProperties(response, {
    type: { value: "basic" },
    url: { value: url },
    redirected: { value: redirected },
    clone: { value: () => fetched(clone.call(response), url, redirected) },
  });
}

async function fetch(input, init) {
  let request = asking(input, init);
  let url = new URL(request.url);
  if (/^(data|blob|file):$/.test(url.protocol)) return nativeFetch(request);
  if (request.signal.aborted) {
    request.body?.cancel(request.signal.reason).catch(() => {});
    throw request.signal.reason;
  }
  const mode = request.redirect;
  let body = sent(request, init);
  let redirected = false;
  for (let hops = 0; hops <= 20; hops++) {
    url.hash = "";
    // What the standard's fetch sends where the script does not say it.
    const { headers: own } = request;
    for (const [header, value] of SENT) if (!own.has(header)) own.set(header, value);
    const response = await ask("fetch", "", request, body, url.href);
    const location = response.headers.get("location");
    if (mode === "manual" || location === null || ![301, 302, 303, 307, 308].includes(response.status)) {
      return fetched(response, url.href, redirected);
    }
    await response.body?.cancel();
    if (mode === "error") throw new TypeError(`${url.href} redirects, which \`redirect: "error"\` refuses`);
    const next = new URL(location, url);
    if (!/^https?:$/.test(next.protocol)) throw new TypeError(`${url.href} redirects to ${next.protocol}, which is not HTTP`);
    const headers = new Headers(request.headers);
    let { method, signal } = request;
    const { status } = response;
    if ((status === 303 && method !== "HEAD") || (status <= 302 && method === "POST")) {
      if (method !== "GET" && method !== "HEAD") method = "GET";
      body = null;
      for (const header of ["content-encoding", "content-language", "content-location", "content-type"]) headers.delete(header);
    } else if (body instanceof ReadableStream) {
      throw new TypeError(`${url.href} redirects a request whose body is a stream, which cannot be sent again`);
    }
    if (next.origin !== url.origin) for (const header of ["authorization", "cookie", "host"]) headers.delete(header);
    request = new Request(next, { method, headers, signal });
    url = next;
    redirected = true;
  }
  throw new TypeError(`${url.href} redirects too often`);
}

function call(vlugin, input, init) {
  const base = "http://localhost/";
  const request = new Request(typeof input === "string" ? new URL(input, base) : (input ?? base), init);
  const url = new URL(request.url);
  if (!request.headers.has("host")) request.headers.set("host", url.host);
  return ask("call", String(vlugin), request, sent(request, init), url.pathname + url.search);
}

// ---- where something happened ----

/** The places of a stack that are in the vlugin's code, innermost first. */
function places(stack) {
  const found = [];
  for (const line of String(stack).split("\n")) {
    const match = /(file:\/\/\S+?):(\d+):(\d+)\)?$/.exec(line);
    if (match && match[1] !== OWN) found.push({ file: shown(match[1]), line: Number(match[2]), column: Number(match[3]) });
  }
  return found;
}

const shown = (url) => decodeURIComponent(url.startsWith(folder) ? url.slice(folder.length) : url);
const at = (place) => `${place.file}:${place.line}:${place.column}`;

function log(what, message, stack) {
  if (LEVELS.indexOf(what) > level) return;
  emit({ op: "log", level: what, message: message.slice(0, LONGEST), ...places(stack)[0] });
}

/** An error as one line, with every place of its stack. */
function described(error, depth = 0) {
  if (!(error instanceof Error)) return `threw ${inspect(error)}`;
  const message = error.message.replaceAll(folder, "").replace(/, run again with the --allow-\w+ flag/, "");
  // The parser's errors have their own name and place in the message.
  let text = /^\w*Error: /.test(message) ? message : `${error.name}: ${message}`;
  text += placed(error, text);
  if (error.cause !== undefined && depth < 8) text += `; caused by ${described(error.cause, depth + 1)}`;
  return text;
}

/** Every place of an error's stack, to stand behind a text that does not say it itself. */
function placed(error, text = "") {
  const trace = places(error.stack).map(at);
  return trace.length > 0 && !text.endsWith(trace[0]) ? ` at ${trace.join(", ")}` : "";
}

function uncaught(what, error) {
  log("error", `${what}: ${described(error)}`, error?.stack);
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

const context = { waitUntil, passThroughOnException() {} };

class FetchEvent extends Event {
  #answer = null;
  constructor(type, { request } = {}) {
    super(type, { cancelable: true });
    Object.defineProperties(this, { request: { value: request }, env: { value: env } });
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

function dispatched(request) {
  const event = new FetchEvent("fetch", { request });
  for (const listener of listeners) {
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
  const own = Number.isInteger(status) && status >= 400 && status <= 599;
  if (!own) status = 500;
  let message = own ? String(error.message) : described(error);
  if (status >= 500 && own) message += placed(error);
  return new Response(JSON.stringify({ status, message: message.slice(0, LONGEST) }), { status: 500, headers: { "x-valor-fault": token } });
}

const answering = (request) => (handler ? handler.fetch(request, env, context) : dispatched(request));

/** What came of a handler, once it is held to be a response that can be sent. */
function checked(response) {
  if (!(response instanceof Response)) throw new TypeError(`the answer is ${inspect(response, { depth: 0 })}, not a Response`);
  if (response.bodyUsed) throw new TypeError("the body of the Response has been read already");
  if (response.status === 0) throw new TypeError("the answer is Response.error()");
  return response;
}

async function settled(answer) {
  try {
    return checked(await answer);
  } catch (error) {
    return failed(error);
  }
}

function answer(incoming, url) {
  try {
    const request = PLAIN.test(url) ? incoming : rewritten(incoming, url);
    const answer = ofRequest.run(request, answering, request);
    return answer instanceof Response ? checked(answer) : settled(answer);
  } catch (error) {
    return failed(error);
  }
}

function refused() {
  return new Response(null, { status: 403 });
}

function serving(request) {
  const raw = urlOf.call(request);
  const path = raw.indexOf("/", scheme.length);
  if (!begins(raw, path)) return isOpen ? refused() : answer(request, `http://${raw.slice(scheme.length)}`);
  switch (raw.slice(path + own.length)) {
    case "!poll":
      return poll();
    case "!result":
      return result(request, request.headers.get("x-valor-head"));
    default:
      return answer(request, marked(raw, path));
  }
}

// ---- the life of the vlugin ----

async function load(file) {
  const module = await import(file);
  const exported = module.default;
  if (typeof exported?.fetch === "function") handler = exported;
  else if (exported !== undefined) throw new TypeError("its default export has no `fetch` method: export default { async fetch(request, env, ctx) { … } }");
  else if (listeners.length === 0) throw new TypeError('it handles no requests: export default { async fetch(request, env, ctx) { … } }, or addEventListener("fetch", …)');
  try {
    // `in`, because a router that is a Proxy has a method of every name.
    if (Object(handler) === handler && "create" in handler) await handler.create(env);
  } catch (error) {
    throw new Error(`create: ${described(error)}`, { cause: "create" });
  }
}

/** Why the module is not loaded, with what the parser shows of it. */
function unloaded(error) {
  const text = error?.cause === "create" ? error.message.slice("create: ".length) : described(error);
  return text.slice(0, LONGEST);
}

async function begin(data) {
  ({ name, config, folder, token, level } = data);
  own = `/${token}`;
  const { socket } = data;
  isOpen = socket === undefined;
  scheme = isOpen ? "http://" : "http+unix://";
  const where = isOpen ? { hostname: "127.0.0.1", port: 0 } : { path: socket };
  await using server = serve({ ...where, onListen() {}, onError: isOpen ? refused : failed }, serving);
  if (!isOpen) for (const right of ["read", "write"]) await permissions.revoke({ name: right, path: socket });
  await permissions.revoke({ name: "net" });
  port.postMessage({ event: "listening", port: server.addr.port });

  translate();
  globalThis.fetch = fetch;
  globalThis.console = new Console((text, number) => {
    log(["debug", "info", "warn", "error"][number] ?? "info", text.replace(/\n$/, ""), new Error().stack);
  });
  globalThis.FetchEvent = FetchEvent;
  globalThis.addEventListener = function (type, listener, options) {
    if (type !== "fetch") return listen.call(globalThis, type, listener, options);
    if (listener) listeners.push(listener);
  };
  globalThis.valor = Object.freeze({ call, name, config });
  env = Object.freeze({ call, name, config });
  // They write to the disk without a limit, ask whoever sits at the terminal, and end the worker unseen.
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
    uncaught("uncaught", event.error ?? event.message);
  });

  try {
    await load(data.file);
    port.postMessage({ event: "ready" });
  } catch (error) {
    port.postMessage({ event: "failed", message: unloaded(error) });
  }
  await new Promise(() => {});
}

listen.call(globalThis, "message", ({ data, ports }) => {
  [port] = ports;
  port.onmessage = async ({ data }) => {
    if (data === "ping") return port.postMessage("pong");
    await Promise.allSettled(pending);
    port.postMessage({ event: "stopped" });
  };
  begin(data);
}, { once: true });
