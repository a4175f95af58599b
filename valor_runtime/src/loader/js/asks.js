// What a vlugin asks of Valor: `fetch`, `call`, lines for the log. A part of worker.js.
//
// A request of Valor's waits here (`!poll`). Its answer is a list of what the vlugin has asked for since, as entries:
//
//   u8 what, u8 level, u16 0, u32 id, u32 length of `name`, u32 length of `rest`, name, rest
//
// 1 is a fetch, 2 a call of the vlugin `name`: `rest` is a message (heads.js), and a body in pieces follows when Valor
// asks for it (`!body` and the id). 3 ends a request that nobody waits for any more. 4 is a line for the log: `name` is
// its file, `rest` u32 line, u32 column, text. 5 says that `id` lines were dropped. 6 says that the vlugin reads the
// body of the request with this number, whose client waits for a `100`.
//
// The result of a fetch or a call is a request of Valor's. Its body is u32 id, a message, and the response's body:
// `!whole` if all of it is in memory. Otherwise `!pieces`, each after its u32 length; the length 0xffffffff says that
// the response broke off there. A fault is a request without a body, `!fault/ID/STATUS/MESSAGE`.

const FETCH = 1, CALL = 2, CANCEL = 3, LOG = 4, LEFT_OUT = 5, READS = 6;
const BROKEN = 0xffffffff;
/** The most bytes of a body that go along with its head. */
const SMALL = 65536;
/** The most bytes of entries in one answer, unless a single one is longer. */
const BATCH = 65536;
/** The most bytes of lines that wait for Valor. Further lines are only counted. */
const LINES = 1 << 18;

/** The request that code runs for: what it begins ends with the signal of that request, if its client is gone. */
const ofRequest = new AsyncLocalStorage();
/** What was asked for and Valor has not taken, each with the `next`. */
let first = null;
let last = null;
let waiting = null;
/** The bytes of lines among them, and how many lines were dropped. */
let lines = 0;
let unsaid = 0;
const asked = new Map();
const takeAsked = uncurry(Map.prototype.delete);
const findAsked = uncurry(Map.prototype.get);
const noteAsked = uncurry(Map.prototype.set);
const decoded = globalThis.decodeURIComponent;
let lastId = 0;
/** Which errors are Valor's, and their status: if the vlugin does not catch one, its client must not learn of it. */
const refusals = new WeakMap();
const noteRefusal = uncurry(WeakMap.prototype.set);
const findRefusal = uncurry(WeakMap.prototype.get);

/** A refusal as the vlugin sees it. */
function refusal(error, status) {
  error.status = status;
  noteRefusal(refusals, error, status);
  return error;
}

/** Whether an error has a status that the vlugin gave it. */
const isOwn = (error) => Object(error) !== error || findRefusal(refusals, error) !== error.status;

function emit(what, id, name = "", rest = new Bytes(0), level = 0) {
  const file = encodeUtf8(name);
  const bytes = new Bytes(16 + lengthOf(file) + lengthOf(rest));
  bytes[0] = what;
  bytes[1] = level;
  put32(bytes, 4, id);
  put32(bytes, 8, lengthOf(file));
  put32(bytes, 12, lengthOf(rest));
  setBytes(bytes, file, 16);
  setBytes(bytes, rest, 16 + lengthOf(file));
  if (what === LOG) lines += lengthOf(bytes);
  const entry = { __proto__: null, bytes, next: null };
  if (first) last.next = entry;
  else first = entry;
  last = entry;
  if (!waiting) return;
  const answer = waiting;
  waiting = null;
  answer(taken());
}

/** What Valor takes next. */
function taken() {
  let size = 0;
  let end = first;
  do {
    size += lengthOf(end.bytes);
    end = end.next;
  } while (end && size + lengthOf(end.bytes) <= BATCH);
  const all = new Bytes(size);
  for (let at = 0; first !== end; first = first.next) {
    const { bytes } = first;
    setBytes(all, bytes, at);
    at += lengthOf(bytes);
    if (bytes[0] === LOG) lines -= lengthOf(bytes);
  }
  if (!first && unsaid > 0) {
    const count = unsaid;
    unsaid = 0;
    emit(LEFT_OUT, count);
  }
  return new NativeResponse(all);
}

/** Valor waits for the next thing that the vlugin asks for. */
function poll() {
  if (first) return taken();
  return new NativePromise((resolve) => {
    waiting = resolve;
  });
}

/** Whether a line that is logged now is dropped, because too many wait. */
const isLeftOut = () => lines > LINES && unsaid++ >= 0;

/** A line for the log; the levels are those of `LEVELS`. */
function say(level, message, { file = "", line = 0, column = 0 } = {}) {
  const said = encodeUtf8(message);
  const rest = new Bytes(8 + lengthOf(said));
  put32(rest, 0, line);
  put32(rest, 4, column);
  setBytes(rest, said, 8);
  emit(LOG, 0, file, rest, level);
}

/** The bytes of a small body that is completely here. */
function small(body) {
  if (body === null) return new Bytes(0);
  if (body instanceof URLSearchParams) body = String(body);
  if (typeof body === "string") {
    if (body.length > SMALL) return null;
    body = encodeUtf8(body);
  } else if (body instanceof ArrayBuffer) {
    body = new Bytes(body);
  }
  return body instanceof Bytes && lengthOf(body) <= SMALL ? body : null;
}

/** The length of a body, if it is known. */
function announced(body) {
  if (body instanceof Blob) return body.size;
  if (body instanceof ArrayBuffer || body instanceof Bytes) return body.byteLength;
  return typeof body === "string" ? lengthOf(encodeUtf8(body)) : undefined;
}

/**
 * Whether the vlugin may give up a response that it has: only then can a body that is completely here be taken away.
 */
const isRevocable = (input, init) => input instanceof Request || (init?.signal ?? null) !== null;

function ask(what, target, request, body, url, revocable) {
  const client = ofRequest.getStore()?.signal;
  const signal = client ? AbortSignal.any([request.signal, client]) : request.signal;
  if (signal.aborted) return NativePromise.reject(signal.reason);
  const headers = [];
  for (const [name, value] of request.headers) headers.push(name, value);
  const { method } = request;
  if (body instanceof URLSearchParams) body = String(body);
  const whole = small(body);
  let message, upload;
  try {
    message = encodeRequest(method, url, headers, whole, whole ? undefined : announced(body));
    upload = whole ? null : new NativeResponse(body);
  } catch (error) {
    return NativePromise.reject(refusal(error, 400));
  }
  lastId = (lastId % 0xffffffff) + 1;
  const id = lastId;
  return new NativePromise((resolve, reject) => {
    const abort = () => {
      if (!takeAsked(asked, id)) return;
      it.giveUp(signal.reason);
      emit(CANCEL, id);
      reject(signal.reason);
    };
    const giveUp = (reason) => {
      const unread = it.upload;
      it.upload = null;
      unread?.body.cancel(reason).catch(() => {});
    };
    const settle = () => signal.removeEventListener("abort", abort);
    const it = { resolve, reject, settle, signal, url, method, upload, giveUp, revocable };
    signal.addEventListener("abort", abort, { once: true });
    noteAsked(asked, id, it);
    emit(what, id, target, message);
  });
}

/** Valor asks for a body that was only announced. */
function uploaded(id) {
  const it = findAsked(asked, id);
  const upload = it?.upload;
  if (!upload) return new NativeResponse(null, { __proto__: null, status: 410 });
  it.upload = null;
  return upload;
}

const abandoned = new FinalizationRegistry((finish) => finish());

/** The result of a request, with all of the response's body. */
async function whole(request) {
  const bytes = await bytesOf(request);
  return outcome(bytes, (it) => {
    give(it, subarray(bytes, headEnd(bytes, 4)));
    return new NativeResponse(null);
  });
}

/** The same, with perhaps only the beginning of the body. The answer is due when the body has been read. */
async function pieces(request) {
  const reader = request.body.getReader();
  const [bytes, begun] = await headOf(reader, 4);
  return outcome(bytes, (it) => passed(it, reader, begun));
}

/** Returns a function that gives the next piece of a body of which `bytes` have been read, and null at its end. */
function piecesOf(reader, bytes) {
  let left = 0;
  const more = async () => {
    const { done, value } = await reader.read();
    if (!done) bytes = joined(bytes, value);
    return !done;
  };
  return async () => {
    while (left === 0) {
      while (lengthOf(bytes) < 4) if (!(await more())) return null;
      left = u32(bytes, 0);
      bytes = subarray(bytes, 4);
    }
    if (left === BROKEN) throw null;
    while (lengthOf(bytes) === 0) if (!(await more())) throw null;
    const part = subarray(bytes, 0, left);
    left -= lengthOf(part);
    bytes = subarray(bytes, lengthOf(part));
    // The reader of a piece may look at all of its memory, or transfer it.
    const piece = new Bytes(lengthOf(part));
    setBytes(piece, part);
    return piece;
  };
}

/** What was asked for under this id, which is about to be settled. */
function answered(id) {
  const it = findAsked(asked, id);
  if (!it || !takeAsked(asked, id)) return null;
  it.settle();
  it.giveUp();
  return it;
}

/** The result is a fault. The id, the status and the message are in the path. */
function refusedBy(path) {
  const status = indexOf(path, "/", 7) + 1;
  const message = indexOf(path, "/", status) + 1;
  const it = answered(+slice(path, 7, status - 1));
  it?.reject(refusal(new TypeError(decoded(slice(path, message))), +slice(path, status, message - 1)));
  return new NativeResponse(null);
}

async function outcome(bytes, passing) {
  const it = answered(u32(bytes, 0));
  if (!it) return new NativeResponse(null);
  try {
    it.message = decodeMessage(bytes, 4);
    return await passing(it);
  } catch (error) {
    it.reject(error);
  }
  return new NativeResponse(null);
}

const isBodiless = ({ method, message: { status } }) =>
  method === "HEAD" || status === 204 || status === 205 || status === 304;

/** Settles what was asked for. */
function give(it, body) {
  const { status, headers } = it.message;
  if (isBodiless(it)) body = null;
  else if (it.revocable && body instanceof Bytes) body = revocable(it.signal, body);
  const response = new NativeResponse(body, { __proto__: null, status, headers });
  Object.defineProperty(response, "url", { value: it.url, configurable: true });
  it.resolve(response);
}

/** A body that is completely here, until it has been read or the signal aborts. */
function revocable(signal, bytes) {
  let control;
  const abort = () => control.error(signal.reason);
  const done = () => signal.removeEventListener("abort", abort);
  const source = {
    __proto__: null,
    start(controller) {
      control = controller;
      if (lengthOf(bytes) === 0) return controller.close();
      controller.enqueue(bytes);
      signal.addEventListener("abort", abort, { once: true });
    },
    pull(controller) {
      done();
      controller.close();
    },
    cancel: done,
  };
  return new ReadableStream(source, { __proto__: null, highWaterMark: 0 });
}

/** Gives a response whose body is still arriving, after the part of it that is here. */
function passed(it, reader, begun) {
  const done = Promise.withResolvers();
  const finish = () => done.resolve(new NativeResponse(null));
  const stop = (reason) => {
    reader.cancel(reason).catch(() => {});
    finish();
  };
  if (isBodiless(it)) {
    give(it, null);
    stop();
    return done.promise;
  }
  const next = piecesOf(reader, begun);
  let control;
  const abort = () => {
    control?.error(it.signal.reason);
    stop(it.signal.reason);
  };
  // Without a prototype: what a vlugin has added to that of all objects is not part of it.
  const source = {
    __proto__: null,
    start(controller) {
      control = controller;
    },
    async pull(controller) {
      let piece;
      try {
        piece = await next();
      } catch {
        finish();
        // If it is passed on, Deno drops what it has not sent when the error comes.
        await new Promise((resolve) => later(resolve, 10));
        throw new TypeError(`the response from ${it.url} broke off`);
      }
      if (piece) {
        controller.enqueue(piece);
      } else {
        it.signal.removeEventListener("abort", abort);
        controller.close();
        finish();
      }
    },
    cancel: stop,
  };
  it.signal.addEventListener("abort", abort, { once: true });
  // One piece is read ahead, so that an end or an error is known before anyone asks for it.
  const body = new ReadableStream(source, { __proto__: null, highWaterMark: 1 });
  abandoned.register(body, stop);
  give(it, body);
  return done.promise;
}

/** The body to send: as it was given if its length is known, so that the length is announced. */
function sent(request, init) {
  const given = init?.body;
  const whole =
    typeof given === "string" ||
    given instanceof Uint8Array ||
    given instanceof ArrayBuffer ||
    given instanceof Blob ||
    given instanceof URLSearchParams;
  return whole && request.body ? given : request.body;
}

/** The request to send. */
function asking(input, init) {
  try {
    // A path alone has no host: there is no page that it could be relative to.
    return new Request(input instanceof Request ? input : new URL(input), init);
  } catch (error) {
    throw refusal(error, 400);
  }
}

/** A response from a server, which the vlugin did not create: like one of Deno's own `fetch`, and so are its copies. */
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
  const revocable = isRevocable(input, init);
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
    // What the standard's fetch sends unless the script sets it.
    const { headers: own } = request;
    for (const [header, value] of SENT) if (!own.has(header)) own.set(header, value);
    const response = await ask(FETCH, "", request, body, url.href, revocable);
    const location = response.headers.get("location");
    if (mode === "manual" || location === null || ![301, 302, 303, 307, 308].includes(response.status)) {
      return fetched(response, url.href, redirected);
    }
    await response.body?.cancel();
    if (mode === "error") throw new TypeError(`${url.href} redirects, which \`redirect: "error"\` refuses`);
    const next = new URL(location, url);
    if (!/^https?:$/.test(next.protocol))
      throw new TypeError(`${url.href} redirects to ${next.protocol}, which is not HTTP`);
    const headers = new Headers(request.headers);
    let { method, signal } = request;
    const { status } = response;
    if ((status === 303 && method !== "HEAD") || (status <= 302 && method === "POST")) {
      if (method !== "GET" && method !== "HEAD") method = "GET";
      body = null;
      for (const header of ["content-encoding", "content-language", "content-location", "content-type"])
        headers.delete(header);
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
  return ask(CALL, String(vlugin), request, sent(request, init), url.pathname + url.search, isRevocable(input, init));
}
