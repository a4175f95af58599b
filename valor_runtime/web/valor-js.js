// JavaScript vlugins: their two forms, `env` and `ctx`, errors, `call`, and the `fetch` that `allow` limits. In the
// service worker several of them share the realm; in a page's Worker there is only one. valor-vlugins.js names those
// that the service worker imports; valor-worker.js loads the one of a Worker.

import { Account } from "./account.js";
import { Fault, addEventListener, fetch, mayHaveBody, reach } from "./valor-rules.js";

const { removeEventListener } = globalThis;

/** The methods of IANA's registry, which the server and vlugins of other kinds know. */
export const METHODS = new Set(
  (
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY " +
    "MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PRI PROPFIND PROPPATCH PUT REBIND " +
    "REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL"
  ).split(" "),
);

const OWN = /\/valor-(js|line|sw|worker)\.js\b/;

/** What the service worker has imported, by name: module, address and SHA-256. */
const imported = new Map();
/** The listeners for requests, by name. */
const listening = new Map();
/** Whose module is being evaluated. */
let current = "";
/** Sends calls to the other vlugins. */
let host;
/** The errors of a `fetch` that was refused, and their status. */
const refusals = new WeakMap();
/** Whose `allow` and limits apply to a call of `fetch`. */
let whose = byStack;

/** From now on, the module of this name is evaluated, or none. */
export function evaluates(name) {
  if (!listening.size) furnish();
  current = name;
  if (name) listening.set(name, []);
}

/** Notes what valor-vlugins.js has imported. */
export function vlugins(list) {
  for (const [name, path, sha256, module] of list) {
    const { href: url } = new URL(`${path}?${name}`, import.meta.url);
    imported.set(name, { module, url, sha256, allow: [], account: new Account() });
  }
}

/** The module that was imported for a definition: of the same name and the same bytes. */
export function importedFor({ name, sha256 }) {
  const found = imported.get(name);
  return found && found.sha256 === sha256?.toLowerCase() ? found : null;
}

/** `other` answers calls between vlugins. In a Worker, one `allow` and one vlugin's limits apply to every fetch. */
export function asks(other, only) {
  host = other;
  if (only) whose = () => only;
}

/** The vlugin whose file is nearest on the stack. */
function byStack(stack) {
  let [nearest, found] = [Infinity, null];
  for (const one of imported.values()) {
    const at = stack.indexOf(`${one.url}:`);
    if (at >= 0 && at < nearest) [nearest, found] = [at, one];
  }
  return found;
}

/** Does what counts against a limit until it has an answer. */
async function counted(account, kind, act) {
  account?.begin(kind);
  try {
    return await act();
  } finally {
    account?.end(kind);
  }
}

/** Adds to the realm what vlugins find in it; without any, it stays as it is. */
function furnish() {
  const { removeEventListener } = globalThis;
  globalThis.valor = Object.freeze({
    call: (name, input, init) => call(name, input, init, null, whose(stackOf())?.account),
  });
  globalThis.fetch = held;
  globalThis.addEventListener = (type, listener, ...rest) => {
    if (type !== "fetch") return addEventListener(type, listener, ...rest);
    if (!current) throw new TypeError('a listener for "fetch" is added while the module is evaluated, not later');
    const mine = listening.get(current);
    if (listener && !mine.includes(listener)) mine.push(listener);
  };
  globalThis.removeEventListener = (type, listener, ...rest) => {
    if (type !== "fetch") return removeEventListener(type, listener, ...rest);
    for (const [name, all] of listening) listening.set(name, all.filter((one) => one !== listener));
  };
  const onfetch = { set: (listener) => globalThis.addEventListener("fetch", listener) };
  Object.defineProperty(globalThis, "onfetch", { configurable: true, get: () => null, ...onfetch });
  for (const name of ["Request", "Response"]) {
    const construct = (target, [input, init], made) =>
      whole(Reflect.construct(target, [input, init], made), init?.headers ?? input?.headers);
    globalThis[name] = new Proxy(globalThis[name], { construct });
  }
}

/** A browser drops `host`, `set-cookie` and others. Between vlugins every header passes. */
function whole(made, given) {
  const wanted = new Headers(given);
  if (![...wanted.keys()].some((name) => !made.headers.has(name))) return made;
  for (const [name, value] of made.headers) if (!wanted.has(name)) wanted.set(name, value);
  const { clone } = made;
  return Object.defineProperties(made, {
    headers: { value: wanted },
    clone: { value: () => whole(clone.call(made), wanted) },
  });
}

function stackOf() {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 100;
  const { stack } = new Error();
  Error.stackTraceLimit = stackTraceLimit;
  return stack;
}

/** The error for a vlugin whose request was refused. */
function failure(status, message, stack) {
  const error = Object.assign(new TypeError(message), { status, stack });
  refusals.set(error, status);
  return error;
}

/** The `fetch` of vlugins. */
async function held(input, init) {
  const stack = stackOf();
  const failed = (status, message) => failure(status, message, stack);
  let request;
  try {
    request = new Request(input, { duplex: "half", ...init });
  } catch (error) {
    throw failed(400, error.message);
  }
  const { url, signal } = request;
  if (/^(data|blob):/.test(url)) return fetch(request);
  if (signal.aborted) {
    request.body?.cancel(signal.reason).catch(() => {});
    throw signal.reason;
  }
  const one = whose(stack);
  if (!one)
    throw failed(
      403,
      `${url} may not be reached: no vlugin's own code calls fetch here, so it is not known whose \`allow\` to ask`,
    );
  try {
    return await counted(one.account, "fetches", () => reach(one.allow, url, request));
  } catch (error) {
    if (error instanceof Fault) throw failed(error.status, error.message);
    throw error instanceof TypeError ? failed(502, `${url} cannot be reached: ${error.message}`) : error;
  }
}

/**
 * Another vlugin's answer. `end` is the signal of the request that asks, and `account` counts it; either may be
 * unknown.
 */
export async function call(name, input, init, end, account) {
  const request = new Request(input instanceof Request ? input : new URL(input, location.origin), {
    duplex: "half",
    ...init,
  });
  const { pathname, search, host: to, protocol } = new URL(request.url);
  const { method, body } = request;
  const signal = end ? AbortSignal.any([request.signal, end]) : request.signal;
  const headers = [...request.headers];
  if (!request.headers.has("host")) headers.push(["host", to]);
  const asked = {
    method,
    target: pathname + search,
    https: protocol === "https:",
    headers,
    body,
    length: body ? null : 0,
    signal,
  };
  const ask = account?.call ?? host;
  let answer;
  try {
    answer = await counted(account, "calls", () => ask(String(name), asked));
  } catch (error) {
    const isRefusal = error instanceof Fault && error.kind === "refused";
    throw isRefusal ? failure(error.status, error.message, stackOf()) : error;
  }
  if (signal.aborted) {
    answer.body?.cancel?.();
    throw signal.reason;
  }
  const { status } = answer;
  return new Response(mayHaveBody(status) ? answer.body : null, { status, headers: answer.headers });
}

/** The fault of a request for which a vlugin's code has thrown. */
export function faultOf(error) {
  if (error instanceof Fault) return error;
  const { status, stack } = error instanceof Error ? error : {};
  const isStatus = Number.isInteger(status) && status >= 400 && status < 600;
  // A refusal that the vlugin does not catch reveals its surroundings: it becomes the vlugin's failure.
  const isOwn = refusals.get(error) !== status || status >= 500;
  const fault = new Fault("error", isStatus && isOwn ? status : 500, String(error?.message ?? error));
  // Without the message, which some browsers put first, and without Valor's own.
  const frames = (stack ?? "").split("\n").filter((line) => /:\d+:\d+\)?$/.test(line) && !OWN.test(line));
  fault.at = frames.map((line) => `\n${line}`).join("");
  return fault;
}

class FetchEvent extends Event {
  constructor(request, env, waitUntil) {
    super("fetch", { cancelable: true });
    Object.assign(this, { request, env, waitUntil });
  }

  respondWith(response) {
    if (this.answer) throw new DOMException("respondWith was called already", "InvalidStateError");
    this.answer = Promise.resolve(response);
    this.stopImmediatePropagation();
  }
}

/** A vlugin in this realm, with the interface of a guest. */
export class Script {
  static async create(module, { name, config = null }, account) {
    const made = new Script(module.default, listening.get(name) ?? [], { config, name, account });
    const main = module.default;
    try {
      // `in`, because a router that is a Proxy has a method of every name.
      if (Object(main) === main && "create" in main) await main.create(made.env());
    } catch (error) {
      throw faultOf(error);
    }
    return made;
  }

  constructor(main, listeners, { config, name, account }) {
    if (typeof main?.fetch === "function") this.handle = (request, env, ctx) => main.fetch(request, env, ctx);
    else if (listeners.length)
      this.handle = (request, env, { waitUntil }) => this.dispatch(listeners, new FetchEvent(request, env, waitUntil));
    else
      throw new Error(
        "it answers no request: write `export default { fetch(request, env, ctx) { … } }`, or " +
          '`addEventListener("fetch", …)`',
      );
    this.name = name;
    // The calls of a request end with it.
    this.env = (end) =>
      Object.freeze({ config, name, call: (callee, input, init) => call(callee, input, init, end, account) });
  }

  dispatch(listeners, event) {
    for (const listener of listeners) {
      if (typeof listener === "function") listener.call(globalThis, event);
      else listener.handleEvent(event);
      if (event.answer) return event.answer;
    }
    throw new Fault("error", 502, "none of its listeners has called respondWith");
  }

  async request({ method, target, https, headers, body, signal, event }) {
    if (!METHODS.has(method)) throw new Fault("error", 501, `\`${method}\` is no method that is known here`);
    const host = headers.find(([name]) => name === "host")?.[1] ?? location.host;
    const options = { method, headers, signal, duplex: "half" };
    if (!/^(GET|HEAD)$/.test(method) && (body instanceof ReadableStream || body?.length)) options.body = body;
    const request = new Request(`http${https ? "s" : ""}://${host}${target}`, options);
    // Like those of a service worker's own event, and those on the server.
    for (const change of ["append", "delete", "set"]) {
      const value = () => {
        throw new TypeError("the headers of a request cannot be changed; those of `new Request(request)` can");
      };
      Object.defineProperty(request.headers, change, { value });
    }
    const ctx = {
      waitUntil: (promise) => {
        const settled = Promise.resolve(promise).catch((error) => {
          const { message, at } = faultOf(error);
          console.error(`valor: the vlugin \`${this.name}\` failed after its response: ${message}${at ?? ""}`);
        });
        event?.waitUntil(settled);
      },
      passThroughOnException() {},
      // The client is the page itself.
      peer: null,
    };
    const answering = (async () => this.handle(request, this.env(signal), ctx))();
    const gone = new Promise((_, reject) => {
      const leave = () => reject(signal.reason);
      if (signal.aborted) leave();
      signal.addEventListener("abort", leave, { once: true });
    });
    try {
      return answerOf(await Promise.race([answering, gone]));
    } catch (error) {
      if (!signal.aborted) throw faultOf(error);
      answering.then((late) => late.body?.cancel(), () => {});
      throw signal.reason;
    }
  }
}

function answerOf(response) {
  if (!(response instanceof Response)) throw new TypeError(`it answered with ${response}, which is no Response`);
  if (response.bodyUsed || response.body?.locked) throw new TypeError("the body of its response was read already");
  // After the browser has decoded the body, these are no longer true.
  const isForeign = response.type !== "default";
  const headers = [...response.headers].filter(([name]) => !isForeign || !/^content-(encoding|length)$/.test(name));
  return { status: response.status, headers, body: response.body, length: response.body ? null : 0 };
}
