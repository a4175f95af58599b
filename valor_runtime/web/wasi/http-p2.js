// wasi:http of 0.2: the types, requests that come and go, and `answer`, which plays one request on an instance of its
// own. `component.js` calls that; `imports` is the component's view.

import { Fault } from "../valor-rules.js";
import { Fields, isMethod, methodName, methodOf } from "./fields.js";
import { InputStream, OutputStream, Pipe, Pollable, refusal } from "./io.js";
import { RequestOptions, codeOf, faultOf, send, urlOf, whole } from "./outgoing.js";

const dispose = Symbol.dispose ?? Symbol.for("dispose");
const ok = (val) => ({ tag: "ok", val });
const err = (val) => ({ tag: "err", val });
/** The error of a `result` that says nothing more. */
const refused = () => refusal(undefined);

class IncomingBody {
  static of(body) {
    return Object.assign(new IncomingBody(), { input: InputStream.of(body), isTaken: false });
  }

  stream() {
    if (this.isTaken) throw refused();
    this.isTaken = true;
    return this.input;
  }

  // What the host has of a body has no trailers.
  static finish(body) {
    body[dispose]();
    return new FutureTrailers();
  }

  [dispose]() {
    this.input[dispose]();
  }
}

class FutureTrailers {
  #isTaken = false;

  subscribe() {
    return Pollable.always();
  }

  get() {
    if (this.#isTaken) return err();
    this.#isTaken = true;
    return ok(ok(undefined));
  }
}

class IncomingRequest {
  static of({ method, target, https, headers, body }) {
    const authority = headers.find(([name]) => name === "host")?.[1];
    return Object.assign(new IncomingRequest(), { said: { method, target, https, authority, headers }, body });
  }

  method() {
    return methodOf(this.said.method);
  }

  pathWithQuery() {
    return this.said.target;
  }

  scheme() {
    return { tag: this.said.https ? "HTTPS" : "HTTP" };
  }

  authority() {
    return this.said.authority;
  }

  headers() {
    return (this.fields ??= Fields.of(this.said.headers));
  }

  consume() {
    if (this.body === undefined) throw refused();
    this.taken = IncomingBody.of(this.body);
    this.body = undefined;
    return this.taken;
  }

  [dispose]() {
    this.body?.cancel?.().catch(() => {});
  }

  /** Nobody reads its body any more. */
  release() {
    this[dispose]();
    this.taken?.[dispose]();
  }
}

class IncomingResponse {
  static of({ status, headers, body }) {
    return Object.assign(new IncomingResponse(), { said: { status, headers }, body: body ?? null });
  }

  status() {
    return this.said.status;
  }

  headers() {
    return (this.fields ??= Fields.of(this.said.headers));
  }

  consume() {
    return IncomingRequest.prototype.consume.call(this);
  }

  [dispose]() {
    this.body?.cancel?.().catch(() => {});
  }
}

/** A body that the component writes. It is cut off unless it is finished. */
class OutgoingBody {
  static of(pipe, length) {
    return Object.assign(new OutgoingBody(), { pipe, length, isTaken: false });
  }

  write() {
    if (this.isTaken) throw refused();
    this.isTaken = true;
    return OutputStream.of(this.pipe);
  }

  // A browser has no place for trailers: they are left out.
  static finish({ pipe, length }) {
    const { written } = pipe;
    if (length !== undefined && written && written !== length) {
      pipe.fail(new Error(`it has ${written} bytes, and its content-length says ${length}`));
      throw refusal({ tag: "HTTP-request-body-size", val: BigInt(written) });
    }
    pipe.finish();
  }

  [dispose]() {
    this.pipe.fail(new Error("the component dropped the body before its end"));
  }
}

/** A message that the component makes, for one instance. */
class Outgoing {
  constructor(fields) {
    this.fields = fields.fix();
  }

  headers() {
    return this.fields;
  }

  body() {
    if (this.pipe) throw refused();
    this.pipe = new Pipe(this.instance.account);
    const [length] = this.fields.get("content-length");
    return OutgoingBody.of(this.pipe, length && Number(String.fromCharCode(...length)));
  }
}

class OutgoingResponse extends Outgoing {
  status = 200;

  statusCode() {
    return this.status;
  }

  setStatusCode(status) {
    if (status < 100 || status > 999) throw refused();
    this.status = status;
  }
}

class OutgoingRequest extends Outgoing {
  said = { method: { tag: "get" } };

  body() {
    const made = super.body();
    this.pipe.room = whole((made.length ?? 0) + 1, this.instance.account);
    return made;
  }

  method() {
    return this.said.method;
  }

  setMethod(method) {
    if (!isMethod(method)) throw refused();
    this.said.method = method;
  }

  pathWithQuery() {
    return this.said.path;
  }

  setPathWithQuery(path) {
    this.said.path = path;
  }

  scheme() {
    return this.said.scheme;
  }

  setScheme(scheme) {
    this.said.scheme = scheme;
  }

  authority() {
    return this.said.authority;
  }

  setAuthority(authority) {
    this.said.authority = authority;
  }
}

class ResponseOutparam {
  static of(instance, resolve, reject) {
    return Object.assign(new ResponseOutparam(), { instance, resolve, reject });
  }

  static set({ instance, resolve, reject }, { tag, val }) {
    if (tag === "err") return reject(faultOf(val, instance.told.reason));
    const { status, fields, pipe } = val;
    instance.pipe = pipe;
    const body = pipe ? (pipe.take() ?? pipe.stream) : null;
    const length = body instanceof ReadableStream ? null : (body?.length ?? 0);
    resolve({ status, headers: fields.list, body, length });
  }

  sendInformational() {
    throw refusal({ tag: "internal-error", val: "a page has no interim responses" });
  }
}

class FutureIncomingResponse {
  static of(promise, end) {
    const made = new FutureIncomingResponse();
    const settle = (outcome) => void (made.outcome = outcome);
    const came = (response) => settle(ok(IncomingResponse.of(response)));
    made.settled = promise.then(came, (error) => settle(err(codeOf(error))));
    return Object.assign(made, { end });
  }

  subscribe() {
    return new Pollable(() => !!this.outcome, () => this.settled);
  }

  get() {
    const { outcome } = this;
    if (this.isTaken) return err();
    if (!outcome) return undefined;
    this.isTaken = true;
    return ok(outcome);
  }

  [dispose]() {
    if (!this.isTaken) this.end();
  }
}

async function sent(instance, { said, fields, pipe }, options) {
  const method = methodName(said.method);
  const request = { method, url: urlOf(said), headers: fields.list, body: null, options };
  // A browser sends a stream only over HTTP/2, so all of a small body is sent at once.
  while (pipe && !pipe.isClosed && pipe.room > 0) await pipe.change;
  if (pipe) request.body = pipe.take() ?? pipe.stream;
  if (request.body?.length === 0) request.body = null;
  return send(instance, request);
}

/** The interfaces of one instance. */
export function imports(instance) {
  const bound = (made) => class extends made { instance = instance };
  const types = {
    Fields,
    FutureIncomingResponse,
    FutureTrailers,
    IncomingBody,
    IncomingRequest,
    IncomingResponse,
    OutgoingBody,
    OutgoingRequest: bound(OutgoingRequest),
    OutgoingResponse: bound(OutgoingResponse),
    RequestOptions,
    ResponseOutparam,
    httpErrorCode: () => undefined,
  };
  const handle = (request, options) => {
    urlOf(request.said);
    const stop = new AbortController();
    const one = { ...instance, signal: AbortSignal.any([instance.signal, stop.signal]) };
    return FutureIncomingResponse.of(sent(one, request, options), () => stop.abort());
  };
  return { "wasi:http/types": types, "wasi:http/outgoing-handler": { handle } };
}

/** A request's response, from the instance that exports `handle`, which ends with it unless it is shared. */
export function answer(instance, handle, request, isShared) {
  return new Promise((resolve, reject) => {
    const out = ResponseOutparam.of(instance, resolve, reject);
    const incoming = IncomingRequest.of(request);
    const release = () => incoming.release();
    instance.ends.push(release);
    const over = (fault) => {
      instance.ends = instance.ends.filter((end) => end !== release);
      if (!isShared) instance.end(fault);
      release();
      instance.pipe?.fail(fault);
      instance.pipe = null;
      reject(fault);
    };
    instance.running = handle(incoming, out).then(
      () => over(new Fault("error", 502, "it returned before its response was complete")),
      (error) => over(instance.trap(error)),
    );
  });
}
