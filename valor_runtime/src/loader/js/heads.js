// How heads cross between a worker and Valor: as one block of bytes, Valor's only encoding (the book's page on the
// guest ABI, "Messages" and "Heads"). A part of worker.js. A script shares this realm and may change any prototype in
// it, so everything used here was taken aside before the script was loaded.

const uncurry = (() => {
  const { bind, call } = Function.prototype;
  return bind.bind(call);
})();
const Bytes = Uint8Array;
const { fromCharCode } = String;
const { apply } = Reflect;
const charCodeAt = uncurry(String.prototype.charCodeAt);
const setBytes = uncurry(Bytes.prototype.set);
const subarray = uncurry(Bytes.prototype.subarray);
const lengthOf = uncurry(Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Bytes.prototype), "length").get);
const utf8 = new TextEncoder();
const text = new TextDecoder();
const encodeUtf8 = uncurry(TextEncoder.prototype.encode).bind(null, utf8);
const encodeInto = uncurry(TextEncoder.prototype.encodeInto).bind(null, utf8);
const decodeUtf8 = uncurry(TextDecoder.prototype.decode).bind(null, text);

/** The most bytes in the head of one message. Valor reads no more. */
const HEAD = 1 << 20;
const PIECES = 1, LENGTH = 2;
/** The bytes before a head. */
const FIXED = 16;

const u16 = (bytes, at) => bytes[at] | (bytes[at + 1] << 8);
const u32 = (bytes, at) => (u16(bytes, at) | (u16(bytes, at + 2) << 16)) >>> 0;

function put16(bytes, at, value) {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
}

function put32(bytes, at, value) {
  put16(bytes, at, value);
  put16(bytes, at + 2, value >>> 16);
}

/** Writes a string of bytes, one per character. */
function putLatin1(bytes, at, string) {
  // ASCII, as it nearly always is, is its own UTF-8.
  if (string.length > 32 && encodeInto(string, subarray(bytes, at, at + string.length)).read === string.length)
    return at + string.length;
  for (let i = 0; i < string.length; i++) bytes[at + i] = charCodeAt(string, i);
  return at + string.length;
}

function latin1(bytes, from, to) {
  let string = "";
  for (; from < to; from += 4096)
    string += apply(fromCharCode, null, subarray(bytes, from, from + 4096 < to ? from + 4096 : to));
  return string;
}

/**
 * A message to Valor: the head of a request, and the bytes of its body. With `body` null, the body comes in pieces, of
 * this length if it is known. `headers` is a flat list: name, value, name, value.
 */
function encodeRequest(method, target, headers, body, length) {
  let size = 12 + method.length + target.length;
  let names = 0;
  for (let i = 0; i < headers.length; i += 2) {
    size += 6 + headers[i].length + headers[i + 1].length;
    if (headers[i].length > names) names = headers[i].length;
  }
  if (size > HEAD) throw new TypeError(`the request's head is ${size} bytes long, and at most ${HEAD} can be sent`);
  if (headers.length > 2 * 65535 || names > 65535 || method.length > 255)
    throw new TypeError("the request's method, a header's name or the number of headers is too long to be sent");
  const rest = body === null ? 0 : lengthOf(body);
  const bytes = new Bytes(FIXED + size + rest);
  put32(bytes, 0, size);
  const total = body === null ? length : rest;
  put32(bytes, 4, (body === null ? PIECES : 0) | (total === undefined ? 0 : LENGTH));
  if (total !== undefined) {
    put32(bytes, 8, total % 4294967296);
    put32(bytes, 12, total / 4294967296);
  }
  bytes[FIXED] = 1;
  bytes[FIXED + 1] = 11;
  put32(bytes, FIXED + 4, target.length);
  put16(bytes, FIXED + 8, headers.length / 2);
  bytes[FIXED + 10] = method.length;
  let at = putLatin1(bytes, FIXED + 12, method);
  at = putLatin1(bytes, at, target);
  for (let i = 0; i < headers.length; i += 2) {
    put16(bytes, at, headers[i].length);
    put32(bytes, at + 2, headers[i + 1].length);
    at = putLatin1(bytes, at + 6, headers[i]);
    at = putLatin1(bytes, at, headers[i + 1]);
  }
  if (rest > 0) setBytes(bytes, body, at);
  return bytes;
}

/** A text of at most so many bytes, with a mark that says how many were cut off. */
function cut(text, most) {
  // Each character has at least one byte, and at most three.
  if (text.length * 3 <= most) return text;
  const { read } = encodeInto(text, new Bytes(most));
  if (read === text.length) return text;
  return `${slice(text, 0, read)}… (${lengthOf(encodeUtf8(slice(text, read)))} more bytes)`;
}

/** How many bytes of a message precede its body, or how many are needed to tell. */
const headEnd = (bytes, at) => (lengthOf(bytes) < at + FIXED ? at + FIXED : at + FIXED + u32(bytes, at));

function decodeHeaders(bytes, at, count) {
  const headers = new Headers();
  while (count-- > 0) {
    const name = at + 6;
    const value = name + u16(bytes, at);
    at = value + u32(bytes, at + 2);
    headers.append(latin1(bytes, name, value), latin1(bytes, value, at));
  }
  return headers;
}

/** The message from Valor that begins at `at` in these bytes, whose head is complete. */
function decodeMessage(bytes, at) {
  const head = at + FIXED;
  const method = head + 12;
  const target = method + bytes[head + 10];
  const peer = target + u32(bytes, head + 4);
  return {
    __proto__: null,
    status: u16(bytes, head + 2),
    method: latin1(bytes, method, target),
    target: decodeUtf8(subarray(bytes, target, peer)),
    https: (bytes[head + 2] & 1) === 1,
    peer: latin1(bytes, peer, peer + bytes[head + 11]),
    headers: decodeHeaders(bytes, peer + bytes[head + 11], u16(bytes, head + 8)),
  };
}

function joined(one, other) {
  if (lengthOf(one) === 0) return other;
  const both = new Bytes(lengthOf(one) + lengthOf(other));
  setBytes(both, one);
  setBytes(both, other, lengthOf(one));
  return both;
}

/** Reads a message that begins at `at` up to the end of its head; the second item is what follows. */
async function headOf(reader, at) {
  let bytes = new Bytes(0);
  do {
    const { done, value } = await reader.read();
    if (done) throw new Error("a message ends before its head does");
    bytes = joined(bytes, value);
  } while (lengthOf(bytes) < at + FIXED || lengthOf(bytes) < headEnd(bytes, at));
  return [bytes, subarray(bytes, headEnd(bytes, at))];
}

/** A body of which this has already been read. */
function restOf(reader, begun) {
  const source = {
    __proto__: null,
    start(controller) {
      if (lengthOf(begun) > 0) controller.enqueue(begun);
    },
    async pull(controller) {
      let part;
      // Deno returns an empty body as one empty piece.
      do part = await reader.read();
      while (part.value?.length === 0);
      if (part.done) controller.close();
      else controller.enqueue(part.value);
    },
    cancel: (reason) => reader.cancel(reason),
  };
  return new ReadableStream(source, { __proto__: null, highWaterMark: 0 });
}
