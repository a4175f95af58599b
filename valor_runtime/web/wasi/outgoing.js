// What a component sends: to servers through the host's `fetch`, with `allow`, to other vlugins through its `call`,
// with `callees`; and limits and timeouts. `http-p2.js` and `http-p3.js` call it.

import { Fault } from "../valor-rules.js";
import { WINDOW, refusal } from "./io.js";

/** The host of a URL that stands for the vlugin of a name. */
const CALLEE = /^(.+)\.vlugin\.internal$/;

/** The options of a request, in 0.2 and in 0.3. A browser does not tell the parts of a connection apart. */
export class RequestOptions {
  #connect;
  #first;
  #isFixed = false;

  #change() {
    if (this.#isFixed) throw refusal({ tag: "immutable" });
  }

  connectTimeout() {
    return this.#connect;
  }

  setConnectTimeout(duration) {
    this.#change();
    this.#connect = duration;
  }

  firstByteTimeout() {
    return this.#first;
  }

  setFirstByteTimeout(duration) {
    this.#change();
    this.#first = duration;
  }

  betweenBytesTimeout() {}

  setBetweenBytesTimeout(duration) {
    if (duration !== undefined) throw refusal({ tag: "not-supported" });
  }

  getConnectTimeout() {
    return this.#connect;
  }

  getFirstByteTimeout() {
    return this.#first;
  }

  getBetweenBytesTimeout() {}

  clone() {
    const made = new RequestOptions();
    [made.#connect, made.#first] = [this.#connect, this.#first];
    return made;
  }

  fix() {
    this.#isFixed = true;
    return this;
  }

  /** Milliseconds until the head of the response must have come, if there is a limit. */
  get ms() {
    const given = [this.#connect, this.#first].filter((it) => it !== undefined);
    return given.length ? Number(given.reduce((sum, it) => sum + it)) / 1e6 : undefined;
  }
}

/** The `error-code` of a failure. */
export function codeOf(error) {
  if (error?.payload?.tag) return error.payload;
  const val = String(error?.message ?? error);
  const { kind, status, name } = error ?? {};
  if (name === "TimeoutError") return { tag: "connection-read-timeout" };
  if (kind === "timeout" || status === 504) return { tag: "HTTP-response-timeout" };
  if (kind === "refused" && status === 403) return { tag: "HTTP-request-denied" };
  if (kind === "refused" && status === 503) return { tag: "connection-limit-reached" };
  if (status === 400) return { tag: "HTTP-request-URI-invalid" };
  if (status === 413) return { tag: "HTTP-request-body-size" };
  return { tag: "internal-error", val };
}

/** The fault of a component that gives an `error-code` in place of a response. `reason` is the host's own, if it had
 * one for a request of the component. */
export function faultOf({ tag, val }, reason) {
  const line = tag === "internal-error" && val ? val : (reason ?? `it gave an error of wasi:http: ${tag}`);
  if (tag === "HTTP-request-body-size") return new Fault("error", 413, line);
  if (/^(HTTP-response|connection(-read)?)-timeout$/.test(tag)) return new Fault("timeout", 504, line);
  return new Fault("error", /^(internal-error|HTTP-request-denied)$/.test(tag) ? 500 : 502, line);
}

/** What an `error-code` says, for people. */
export const lineOf = ({ tag, val }) => (typeof val === "string" ? `${tag}: ${val}` : tag);

/** The bytes that a body may have and be sent at once, which a browser does over every version of HTTP. */
export const whole = (length, { limits }) => Math.max(WINDOW, length <= limits.host_memory / 2 ? length : 0);

/** The address of a request. */
export function urlOf({ scheme, authority, path }) {
  const name = { HTTP: "http", HTTPS: "https" }[scheme?.tag ?? "HTTPS"];
  const url = name && authority && URL.parse(`${name}://${authority}${path ?? "/"}`);
  if (!url) throw refusal({ tag: "HTTP-request-URI-invalid" });
  return url.href;
}

/** Sends a request, and returns the head of its response with a body that is read on demand. */
export async function send(instance, { method, url, headers, body, options }) {
  const { account, host } = instance;
  const { ms } = options ?? {};
  const late = new AbortController();
  const timer = ms !== undefined && setTimeout(() => late.abort(new DOMException("", "TimeoutError")), ms);
  const signal = AbortSignal.any([instance.signal, late.signal]);
  const { hostname, host: authority, pathname, search, protocol } = new URL(url);
  const [, callee] = CALLEE.exec(hostname) ?? [];
  const kind = callee ? "calls" : "fetches";
  account.begin(kind);
  try {
    if (!callee) return await host.fetch({ method, target: url, headers, body, signal });
    const length = body instanceof ReadableStream ? null : (body?.length ?? 0);
    const said = { method, target: pathname + search, https: protocol === "https:", body, length, signal };
    return await host.call(callee, { ...said, headers: [...headers, ["host", authority]] });
  } catch (error) {
    if (late.signal.aborted) throw late.signal.reason;
    instance.told.reason = error.message;
    // A browser does not say why a server cannot be reached.
    throw error instanceof TypeError ? refusal({ tag: "connection-refused" }) : error;
  } finally {
    account.end(kind);
    if (timer !== false) clearTimeout(timer);
  }
}
