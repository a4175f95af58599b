// wasi:http of 0.3: the types, `client`, and `answer`, which plays one request on an instance that others share.
// `component.js` calls that; `imports` is the component's view.

import { Fields, isMethod, methodName, methodOf } from "./fields.js";
import { refusal } from "./io.js";
import { RequestOptions, codeOf, faultOf, lineOf, send, urlOf, whole } from "./outgoing.js";
import { readable } from "./streams.js";

const dispose = Symbol.dispose ?? Symbol.for("dispose");
const ok = (val) => ({ tag: "ok", val });
const err = (val) => ({ tag: "err", val });
const refused = () => refusal(undefined);

/** A body that comes, and its trailers, of which the host has none: they say whether it was whole. */
function coming(stream, signal) {
  const reader = stream.getReader();
  const { promise, resolve } = Promise.withResolvers();
  signal?.addEventListener("abort", () => {
    resolve(err({ tag: "connection-terminated" }));
    reader.cancel(signal.reason).catch(() => {});
  });
  const pull = async (controller) => {
    const failed = (error) => {
      resolve(err(error instanceof TypeError ? { tag: "connection-terminated" } : codeOf(error)));
      return { done: true };
    };
    const { done, value } = await reader.read().catch(failed);
    if (!done) return controller.enqueue(value);
    resolve(ok());
    controller.close();
  };
  const cancel = (reason) => resolve(ok()) ?? reader.cancel(reason);
  return [new ReadableStream({ pull, cancel }, { highWaterMark: 0 }), promise];
}

/** What both kinds of messages have: headers, and a body that is consumed once. */
class Message {
  /** One that the component makes, and the future of what becomes of it. */
  static make(made, headers, contents, trailers) {
    const { promise, resolve } = Promise.withResolvers();
    Object.assign(made, { fields: headers.fix(), contents, trailers, resolve });
    return [made, promise];
  }

  /** One that has come. */
  static come(made, { headers, body, signal }) {
    const stream = body?.length ? new Blob([body]).stream() : body instanceof ReadableStream ? body : null;
    const [contents, trailers] = stream ? coming(stream, signal) : [undefined, Promise.resolve(ok())];
    return Object.assign(made, { fields: Fields.of(headers), contents, trailers });
  }

  static consumeBody(message, outcome) {
    const { contents, trailers } = message;
    message.contents = null;
    // It is read so that the component can write it; nobody needs it.
    Promise.resolve(outcome).catch(() => {});
    return [contents ?? new ReadableStream({ start: (it) => it.close() }), trailers];
  }

  getHeaders() {
    return this.fields;
  }

  /** The body for a reader in the browser; its trailers are left out. It breaks off if the instance ends. */
  body(instance) {
    const { contents, trailers, resolve } = this;
    this.contents = null;
    if (!contents) return void resolve?.(ok());
    const end = async () => {
      const { tag, val } = await trailers;
      resolve?.(tag === "err" ? err(val) : ok());
      if (tag === "err") throw new Error(`the body ended with ${lineOf(val)}`);
    };
    // One that has come, and that the component passes on.
    if (contents instanceof ReadableStream) return contents.pipeThrough(new TransformStream({ flush: end }));
    return readable(contents, instance.signal, end, () => resolve?.(err({ tag: "connection-terminated" })));
  }

  [dispose]() {
    this.contents?.[dispose]?.();
    this.contents?.cancel?.().catch(() => {});
  }
}

class Request extends Message {
  said = { method: { tag: "get" } };

  static new(headers, contents, trailers, options) {
    const made = new Request();
    made.options = options?.fix();
    return Message.make(made, headers, contents, trailers);
  }

  static of({ method, target, https, headers, body, signal }) {
    const made = Message.come(new Request(), { headers, body, signal });
    const authority = headers.find(([name]) => name === "host")?.[1];
    made.said = { method: methodOf(method), path: target, scheme: { tag: https ? "HTTPS" : "HTTP" }, authority };
    return made;
  }

  getMethod() {
    return this.said.method;
  }

  setMethod(method) {
    if (!isMethod(method)) throw refused();
    this.said.method = method;
  }

  getPathWithQuery() {
    return this.said.path;
  }

  setPathWithQuery(path) {
    this.said.path = path;
  }

  getScheme() {
    return this.said.scheme;
  }

  setScheme(scheme) {
    this.said.scheme = scheme;
  }

  getAuthority() {
    return this.said.authority;
  }

  setAuthority(authority) {
    this.said.authority = authority;
  }

  getOptions() {
    return this.options;
  }
}

class Response extends Message {
  status = 200;

  static new(headers, contents, trailers) {
    return Message.make(new Response(), headers, contents, trailers);
  }

  static of({ status, headers, body }) {
    return Object.assign(Message.come(new Response(), { headers, body }), { status });
  }

  getStatusCode() {
    return this.status;
  }

  setStatusCode(status) {
    if (status < 100 || status > 999) throw refused();
    this.status = status;
  }
}

/** A body for `fetch`: a browser sends a stream only over HTTP/2, so all of a small one is sent at once. */
async function small(stream, most, hold) {
  const reader = stream.getReader();
  const pieces = [];
  let sum = 0;
  while (sum <= most) {
    const { done, value } = await reader.read();
    if (done) return sum ? new Uint8Array(await new Blob(pieces).arrayBuffer()) : null;
    hold(value.length);
    pieces.push(value);
    sum += value.length;
  }
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = pieces.length ? { value: pieces.shift() } : await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

async function sent(instance, request) {
  const { account } = instance;
  let held = 0;
  const hold = (bytes) => {
    account.charge(bytes);
    held += bytes;
  };
  try {
    const { said, fields, options } = request;
    const stream = request.body(instance);
    const length = Number(fields.list.find(([name]) => name === "content-length")?.[1] ?? 0);
    const body = stream ? await small(stream, whole(length, account), hold) : null;
    const message = { method: methodName(said.method), url: urlOf(said), headers: fields.list, body, options };
    return Response.of(await send(instance, message));
  } catch (error) {
    throw error.isOver ? error : refusal(codeOf(error));
  } finally {
    account.release(held);
  }
}

/** The interfaces of one instance. */
export function imports(instance) {
  return {
    "wasi:http/types": { Fields, Request, RequestOptions, Response },
    "wasi:http/client": {
      send(request) {
        const stop = new AbortController();
        const signal = AbortSignal.any([instance.signal, stop.signal]);
        // The component may give it up; see mended.rs.
        return Object.assign(sent({ ...instance, signal }, request), { cancel: () => stop.abort() });
      },
    },
  };
}

/** A request's response, from the instance that exports `handle`. */
export async function answer(instance, handle, request) {
  const { signal } = instance;
  let response;
  try {
    response = await handle(Request.of(request));
  } catch (error) {
    throw error?.payload ? faultOf(error.payload, instance.told.reason) : instance.trap(error);
  }
  if (signal.aborted) throw signal.reason;
  const { status, fields } = response;
  const body = response.body(instance) ?? null;
  return { status, headers: fields.list, body, length: body ? null : 0 };
}
