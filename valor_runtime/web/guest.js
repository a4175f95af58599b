// One instance of a guest: docs/src/guest-abi.md, from the host's side. It is called once at a time, never from inside
// an import, and never again after a trap.

import { Account } from "./account.js";
import { Fault, refuse } from "./valor-rules.js";

/** Bytes that a guest may write ahead. */
const WINDOW = 65536;
/** Bytes of a line for people. */
const LINE = 8192;
/** A browser's longest timer, in ms. */
const LONGEST = 0x7fffffff;
const LEVELS = ["error", "error", "warn", "info", "debug", "debug"];
const EXPORTS = [
  "abi", "alloc", "free", "init", "request", "body", "fetch_response", "writable", "timer", "cancel",
  "poll",
].map((name) => `valor_${name}`);
const KINDS = ["error", "panic", "refused", "timeout"];

const text = new TextDecoder();
const utf8 = new TextEncoder();
// Header values are bytes; in JavaScript each is a character of the same number.
const latin1 = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const bytesOf = (string) => Uint8Array.from(string, (c) => c.charCodeAt(0));

function message(head, flags, length, body = new Uint8Array()) {
  const bytes = new Uint8Array(16 + head.length + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, head.length, true);
  view.setUint32(4, flags, true);
  view.setBigUint64(8, BigInt(flags & 2 ? length : 0), true);
  bytes.set(head, 16);
  bytes.set(body, 16 + head.length);
  return bytes;
}

function encodeHead({ method = "", target = "", https, status, headers }) {
  const response = status !== undefined;
  const parts = [utf8.encode(method), utf8.encode(target)];
  for (const [name, value] of headers) {
    const [n, v, lengths] = [bytesOf(name), bytesOf(value), new Uint8Array(6)];
    new DataView(lengths.buffer).setUint16(0, n.length, true);
    new DataView(lengths.buffer).setUint32(2, v.length, true);
    parts.push(lengths, n, v);
  }
  const head = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 12));
  const view = new DataView(head.buffer);
  head[0] = response ? 2 : 1;
  head[1] = 11;
  view.setUint16(2, response ? status : +!!https, true);
  view.setUint32(4, parts[1].length, true);
  view.setUint16(8, headers.length, true);
  head[10] = parts[0].length;
  let at = 12;
  for (const part of parts) {
    head.set(part, at);
    at += part.length;
  }
  return head;
}

function decodeHeaders(bytes, view, at, count) {
  const headers = [];
  while (count-- > 0) {
    const name = at + 6;
    const value = name + view.getUint16(at, true);
    at = value + view.getUint32(at + 2, true);
    if (at > bytes.length) throw new Error("a head ends before its headers do");
    headers.push([latin1(bytes.subarray(name, value)), latin1(bytes.subarray(value, at))]);
  }
  return headers;
}

function decodeFault(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = 8 + view.getUint32(4, true);
  if (end > bytes.length) throw new Error("a fault ends before its message does");
  const place = text.decode(bytes.subarray(end, end + LINE));
  const line = text.decode(bytes.subarray(8, Math.min(end, 8 + LINE)));
  return new Fault(KINDS[bytes[0]] ?? "error", view.getUint16(2, true), place ? `${line} (${place})` : line);
}

function encodeFault({ kind, status, message: line }) {
  const said = utf8.encode(line);
  const bytes = new Uint8Array(8 + said.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = Math.max(0, KINDS.indexOf(kind));
  view.setUint16(2, status, true);
  view.setUint32(4, said.length, true);
  bytes.set(said, 8);
  return bytes;
}

function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [length, flags] = [view.getUint32(0, true), view.getUint32(4, true)];
  const size = Number(view.getBigUint64(8, true));
  if (16 + length > bytes.length) throw new Error("a message ends before its head does");
  const head = bytes.subarray(16, 16 + length);
  if (flags & 4) return { fault: decodeFault(head) };
  const fields = new DataView(head.buffer, head.byteOffset, head.length);
  const target = 12 + head[10];
  const client = target + fields.getUint32(4, true);
  const said = {
    headers: decodeHeaders(head, fields, client + head[11], fields.getUint16(8, true)),
    body: bytes.slice(16 + length),
    pieces: (flags & 1) !== 0,
    length: flags & 2 ? size : flags & 1 ? null : bytes.length - 16 - length,
  };
  if (head[0] === 2) said.status = fields.getUint16(2, true);
  else {
    said.method = text.decode(head.subarray(12, target));
    said.target = text.decode(head.subarray(target, client));
  }
  return said;
}

export class Guest {
  /** A guest that is ready, or a `Fault`; it may ask `host`. */
  static async create(module, name, config, host, limits) {
    const guest = new Guest(name, host, new Account(limits));
    const imports = guest.imports();
    for (const { module: from, name: wanted } of WebAssembly.Module.imports(module))
      if (from !== "valor1" || !imports[wanted])
        refuse(422, `it imports \`${from}.${wanted}\`, which this host does not have`);
    const exports = WebAssembly.Module.exports(module).map((e) => e.name);
    for (const wanted of ["memory", ...EXPORTS])
      if (!exports.includes(wanted)) refuse(422, `it does not export \`${wanted}\``);
    const strange = exports.find((e) => e.startsWith("valor_") && !EXPORTS.includes(e));
    if (strange) refuse(422, `it exports \`${strange}\`, which this host does not know`);
    guest.exports = (await WebAssembly.instantiate(module, { valor1: imports })).exports;
    const version = guest.enter("valor_abi");
    if (version !== 1) refuse(422, `it has the guest ABI ${version}, and this host has 1`);
    if (guest.exports._initialize) guest.enter("_initialize");
    const created = new Promise((resolve, reject) => (guest.created = { resolve, reject }));
    created.catch(() => {});
    guest.give("valor_init", null, utf8.encode(JSON.stringify({ name, config: config ?? null, level: 3 })));
    await created;
    return guest;
  }

  constructor(name, host, account) {
    Object.assign(this, {
      name,
      host,
      account,
      next: 1,
      open: new Map(),
      timers: new Map(),
      trapped: null,
      woken: false,
    });
  }

  enter(name, ...args) {
    if (this.trapped) throw this.trapped;
    try {
      return this.exports[name](...args);
    } catch (error) {
      this.end(error);
      throw this.trapped;
    }
  }

  /** An event that nobody needs once the guest has ended. */
  tell(name, ...args) {
    try {
      this.enter(name, ...args);
    } catch {}
  }

  /** An event with bytes, which the guest owns from then on. */
  give(name, id, bytes, ...rest) {
    if (this.trapped) return;
    try {
      const at = bytes.length && this.enter("valor_alloc", bytes.length) >>> 0;
      if (bytes.length && !at) return this.end(new Error(`it has no ${bytes.length} bytes for a message`));
      if (bytes.length) this.slice(at, bytes.length).set(bytes);
      this.enter(name, ...(id === null ? [] : [id]), at, bytes.length, ...rest);
    } catch (error) {
      if (!this.trapped) this.end(error);
    }
  }

  slice(at, length) {
    return new Uint8Array(this.exports.memory.buffer, at >>> 0, length >>> 0);
  }

  string(at, length) {
    return text.decode(this.slice(at, length));
  }

  /** The guest trapped, or did what the ABI does not allow. */
  end(error) {
    if (this.trapped) return;
    const why = error.message ?? error;
    this.trapped = new Fault("error", 502, error.isOver ? `it was ended: ${why}` : `it trapped: ${why}`);
    this.host.log(1, this.name, error.isOver ? this.trapped.message : (error.stack ?? String(error)).slice(0, LINE));
    this.created?.reject(this.trapped);
    for (const stop of this.timers.values()) stop();
    for (const exchange of this.open.values()) {
      exchange.reject?.(this.trapped);
      exchange.abort?.abort();
      exchange.reader?.cancel().catch(() => {});
      exchange.controller?.error(this.trapped);
    }
    // Its memory, too: a reader that stays must not keep that.
    for (const held of [this.open, this.timers]) held.clear();
    this.account = new Account(this.account.limits);
    this.exports = null;
  }

  request(request) {
    return new Promise((resolve, reject) => {
      if (this.trapped) return reject(this.trapped);
      while (this.open.has(this.next)) this.next = (this.next % 0x7fffffff) + 1;
      const id = this.next;
      this.next = (id % 0x7fffffff) + 1;
      const exchange = { resolve, reject, credit: 0, left: 0, written: 0 };
      this.open.set(id, exchange);
      const gone = () => {
        if (this.open.get(id) === exchange) this.cancel(id, request.signal.reason);
      };
      if (request.signal?.aborted) return gone();
      request.signal?.addEventListener("abort", gone, { once: true });
      exchange.done = () => request.signal?.removeEventListener("abort", gone);
      this.send("valor_request", id, exchange, request);
    });
  }

  /** Hands over a head and its body; a stream on demand. */
  send(event, id, exchange, { body, length, ...head }) {
    if (body instanceof ReadableStream) {
      exchange.reader = body.getReader();
      this.give(event, id, message(encodeHead(head), length == null ? 1 : 3, length));
    } else {
      const bytes = body ?? new Uint8Array();
      this.give(event, id, message(encodeHead(head), 2, bytes.length, bytes));
    }
  }

  cancel(id, reason = new Fault("error", 499, "the client has gone")) {
    const exchange = this.open.get(id);
    if (!exchange) return;
    this.close(id);
    exchange.reader?.cancel(reason).catch(() => {});
    exchange.reject(reason);
    this.tell("valor_cancel", id);
  }

  close(id) {
    this.open.get(id)?.done?.();
    this.open.delete(id);
  }

  /** Holds a body for its reader, and releases what was read. */
  held(bytes) {
    const { account } = this;
    let at = 0;
    return new ReadableStream(
      {
        pull: (controller) => {
          const piece = bytes.subarray(at, at + WINDOW);
          at += piece.length;
          account.release(piece.length);
          controller.enqueue(piece);
          if (at === bytes.length) controller.close();
        },
        cancel: () => account.release(bytes.length - at),
      },
      { highWaterMark: 0 },
    );
  }

  async pump(id, exchange) {
    if (exchange.pumping) return;
    exchange.pumping = true;
    const alive = () => !this.trapped && this.open.get(id) === exchange && exchange.reader;
    try {
      // Never from inside the import that asked for more.
      await null;
      while (alive() && exchange.credit > 0) {
        if (!exchange.rest?.length) {
          const { done, value } = await exchange.reader.read();
          if (!alive()) return;
          if (done) {
            exchange.reader = null;
            this.give("valor_body", id, new Uint8Array(), 1);
            if (id < 0) this.close(id);
            return;
          }
          exchange.rest = value;
          continue;
        }
        const piece = exchange.rest.subarray(0, exchange.credit);
        exchange.rest = exchange.rest.subarray(piece.length);
        exchange.credit -= piece.length;
        this.give("valor_body", id, piece, 0);
      }
    } catch (error) {
      if (alive()) {
        exchange.reader = null;
        this.give("valor_body", id, utf8.encode(String(error?.message ?? error)), 4);
        if (id < 0) this.close(id);
      }
    } finally {
      exchange.pumping = false;
    }
  }

  /** The body that the guest writes: as much as is read. */
  stream(id, exchange, cancel) {
    return new ReadableStream(
      {
        start: (controller) => void (exchange.controller = controller),
        pull: async () => {
          // Everything that was written before is read.
          this.account.release(exchange.written);
          exchange.written = 0;
          await null;
          const grant = WINDOW - exchange.left;
          if (grant <= 0 || this.open.get(id) !== exchange) return;
          exchange.left += grant;
          this.tell("valor_writable", id, grant);
        },
        cancel: () => {
          exchange.controller = null;
          this.account.release(exchange.written);
          cancel();
        },
      },
      { highWaterMark: 0 },
    );
  }

  respond(id, at, length) {
    const exchange = this.open.get(id);
    if (!exchange?.reject || exchange.controller) return;
    this.account.charge(length);
    const { fault, pieces, body, ...head } = decode(this.slice(at, length));
    const isLarge = !fault && !pieces && body.length > WINDOW;
    this.account.release(length - (isLarge ? body.length : 0));
    const { resolve, reject } = exchange;
    exchange.reject = null;
    if (fault || !pieces) {
      this.close(id);
      exchange.reader?.cancel().catch(() => {});
      return fault ? reject(fault) : resolve({ ...head, body: isLarge ? this.held(body) : body });
    }
    exchange.reject = (error) => exchange.controller?.error(error);
    resolve({ ...head, body: this.stream(id, exchange, () => this.cancel(id)) });
  }

  write(id, at, length, flags) {
    const exchange = this.open.get(id);
    if (!exchange?.controller) return;
    length >>>= 0;
    if (flags < 2 && length) {
      exchange.left -= length;
      if (exchange.left < 0) throw new Error("it wrote more of a body than it may");
      this.account.charge(length);
      exchange.written += length;
      exchange.controller.enqueue(this.slice(at, length).slice());
    }
    if (!flags) return;
    // A browser has no place for trailers (2): they are left out.
    if (flags === 4) exchange.controller.error(new Error(this.string(at, Math.min(length, LINE))));
    else exchange.controller.close();
    this.account.release(exchange.written);
    exchange.written = 0;
    exchange.controller = null;
    if (id > 0) {
      exchange.reader?.cancel().catch(() => {});
      this.close(id);
    }
  }

  async fetch(id, vlugin, at, length) {
    const { account } = this;
    const kind = vlugin ? "calls" : "fetches";
    let refusal = null;
    try {
      account.begin(kind);
    } catch (error) {
      refusal = error;
    }
    if (refusal) {
      account.release(length);
      await null;
      return this.give("valor_fetch_response", id, message(encodeFault(refusal), 4, 0));
    }
    const { pieces, body, ...head } = decode(this.slice(at, length));
    let held = length;
    const exchange = { credit: 0, left: 0, written: 0, abort: new AbortController() };
    exchange.done = () => {
      account.end(kind);
      account.release(held);
    };
    this.open.set(id, exchange);
    const stopped = () => void queueMicrotask(() => this.tell("valor_cancel", id));
    const request = {
      ...head,
      body: pieces ? this.stream(id, exchange, stopped) : body,
      signal: exchange.abort.signal,
    };
    const alive = () => this.open.get(id) === exchange;
    try {
      await null;
      const response = await (vlugin ? this.host.call(vlugin, request) : this.host.fetch(request));
      if (!alive()) return response.body?.cancel?.();
      // The request was sent.
      account.release(held);
      held = 0;
      this.send("valor_fetch_response", id, exchange, response);
      if (!exchange.reader) this.close(id);
    } catch (error) {
      if (!alive()) return;
      this.close(id);
      const fault = error instanceof Fault ? error : new Fault("error", 502, String(error.message ?? error));
      this.give("valor_fetch_response", id, message(encodeFault(fault), 4, 0));
    }
  }

  imports() {
    // What an import throws ends the guest, like a trap.
    const line = (at, length) => {
      const said = this.slice(at, length);
      return text.decode(said.subarray(0, LINE)) + (said.length > LINE ? `… (${said.length - LINE} more bytes)` : "");
    };
    return {
      log: (level, target, targetLen, at, length, file, fileLen, number) => {
        const place = fileLen ? ` (${line(file, fileLen)}:${number})` : "";
        this.host.log(level, line(target, targetLen) || this.name, line(at, length) + place);
      },
      now_ms: () => Date.now(),
      monotonic_ns: () => BigInt(Math.round(performance.now() * 1e6)),
      random: (at, length) => {
        const bytes = this.slice(at, length);
        for (let i = 0; i < bytes.length; i += WINDOW) crypto.getRandomValues(bytes.subarray(i, i + WINDOW));
      },
      wake: () => {
        // It gets one turn, however often it asks.
        if (!this.woken)
          setTimeout(() => {
            this.woken = false;
            this.tell("valor_poll");
          });
        this.woken = true;
      },
      ready: (at, length) => {
        if (!length) return this.created.resolve();
        this.created.reject(decodeFault(this.slice(at, length)));
      },
      respond: (id, at, length) => this.respond(id, at, length >>> 0),
      write: (id, at, length, flags) => this.write(id, at, length, flags),
      read_more: (id, bytes) => {
        const exchange = this.open.get(id);
        if (!exchange) return;
        exchange.credit += bytes >>> 0;
        this.pump(id, exchange);
      },
      fetch: (id, name, nameLen, at, length) => {
        this.account.charge(length >>> 0);
        this.fetch(id, line(name, nameLen), at, length >>> 0).catch((error) => this.end(error));
      },
      timer: (id, ms) => {
        this.timers.get(id)?.();
        this.timers.delete(id);
        // As on the server: NaN is no time.
        if (!(ms >= 0)) return;
        this.account.timer(this.timers.size);
        this.timers.set(id, after(ms, () => {
          this.timers.delete(id);
          this.tell("valor_timer", id);
        }));
      },
      abort: (id) => {
        const exchange = this.open.get(id);
        exchange?.reader?.cancel().catch(() => {});
        if (exchange) exchange.reader = null;
        if (id < 0) {
          this.close(id);
          exchange?.abort.abort();
        }
      },
    };
  }
}

/** Calls back after any time, however long, and returns what cancels it. */
function after(ms, rings) {
  let timer;
  const wait = (left) => {
    timer = setTimeout(() => (left > LONGEST ? wait(left - LONGEST) : rings()), Math.min(left, LONGEST));
  };
  wait(ms);
  return () => clearTimeout(timer);
}

export { LEVELS };
