// wasi:io of 0.2: what a component waits for, and streams of bytes with back-pressure. `host.js` and `http-p2.js` make
// them. Only the functions that jspi.js names as blocking return promises; the component is suspended meanwhile.

const dispose = Symbol.dispose ?? Symbol.for("dispose");
/** Bytes that a component may write ahead of its reader. */
export const WINDOW = 65536;

/** The error of a `result`: jco passes its payload to the component. */
export const refusal = (payload) => Object.assign(new Error(payload?.tag ?? payload ?? "refused"), { payload });

export const closed = () => refusal({ tag: "closed" });
const failed = (error) => refusal({ tag: "last-operation-failed", val: new IoError(error) });

/** A `u64` as a number; more than a browser's arrays can have is a trap. */
export function size(len) {
  if (len > 0x7fffffffn) throw new RangeError(`${len} bytes at once are too many`);
  return Number(len);
}

export class IoError {
  constructor(error) {
    this.error = error;
  }

  toDebugString() {
    return String(this.error?.message ?? this.error);
  }
}

/** Something that becomes ready: `ready` says whether it is, `wait` gives a promise of a change. */
export class Pollable {
  constructor(ready, wait, end) {
    Object.assign(this, { ready, wait, end });
  }

  static always = () => new Pollable(() => true);

  /** Ready once a promise has settled. */
  static of(promise, end) {
    let isDone = false;
    const done = () => void (isDone = true);
    const settled = promise.then(done, done);
    return new Pollable(() => isDone, () => settled, end);
  }

  async block() {
    while (!this.ready()) await this.wait();
  }

  [dispose]() {
    this.end?.();
  }
}

/** The indexes of those that are ready, when at least one is. */
export async function poll(pollables) {
  if (!pollables.length) throw new Error("it polls an empty list");
  for (;;) {
    const ready = Array.from(pollables.keys()).filter((at) => pollables[at].ready());
    if (ready.length) return Uint32Array.from(ready);
    await Promise.race(pollables.map((it) => it.wait()));
  }
}

/** Bytes for the component: from an array, or from a stream that is read on demand. */
export class InputStream {
  #reader = null;
  #rest = new Uint8Array();
  #reading = null;
  #error = null;

  static of(body) {
    const made = new InputStream();
    if (body instanceof ReadableStream) made.#reader = body.getReader();
    else made.#rest = body ?? made.#rest;
    return made;
  }

  get #isReady() {
    return this.#rest.length > 0 || !this.#reader;
  }

  #pull() {
    return (this.#reading ??= this.#reader
      .read()
      .then(
        ({ done, value }) => {
          if (done) this.#reader = null;
          else this.#rest = value;
        },
        (error) => {
          this.#reader = null;
          this.#error = error ?? new Error("the body was cut off");
        },
      )
      .finally(() => (this.#reading = null)));
  }

  read(len) {
    const bytes = this.#rest.subarray(0, size(len));
    this.#rest = this.#rest.subarray(bytes.length);
    if (bytes.length || !len) return bytes;
    if (this.#reader) return void this.#pull() ?? bytes;
    const error = this.#error;
    this.#error = null;
    throw error ? failed(error) : closed();
  }

  async blockingRead(len) {
    while (len && !this.#isReady) await this.#pull();
    return this.read(len);
  }

  skip(len) {
    return BigInt(this.read(len).length);
  }

  async blockingSkip(len) {
    return BigInt((await this.blockingRead(len)).length);
  }

  subscribe() {
    // Also a component that only asks again and again gets its bytes.
    return new Pollable(() => this.#isReady || !this.#pull(), () => this.#pull());
  }

  /** Whether everything was read. */
  get isAtEnd() {
    return this.#isReady && !this.#rest.length;
  }

  [dispose]() {
    this.#reader?.cancel().catch(() => {});
    this.#reader = null;
  }
}

/** Bytes from the component, into a sink: `write`, and what says how many more it takes. */
export class OutputStream {
  #sink = null;

  /** `sink` has `room`, `write`, `isClosed`, and `change`, a promise that settles when one of them differs. */
  static of(sink) {
    const made = new OutputStream();
    made.#sink = sink;
    return made;
  }

  checkWrite() {
    if (this.#sink.isClosed) throw closed();
    return BigInt(Math.max(0, this.#sink.room));
  }

  write(bytes) {
    if (this.#sink.isClosed) throw closed();
    if (bytes.length > this.#sink.room) throw new Error("it wrote more of a body than it may");
    if (bytes.length) this.#sink.write(bytes.slice());
  }

  // What was written is on its way; nothing waits for more.
  flush() {
    if (this.#sink.isClosed) throw closed();
  }

  get #isReady() {
    return this.#sink.isClosed || this.#sink.room > 0;
  }

  async #ready() {
    while (!this.#isReady) await this.#sink.change;
    if (this.#sink.isClosed) throw closed();
  }

  async blockingFlush() {
    await this.#ready();
  }

  async blockingWriteAndFlush(bytes) {
    for (let at = 0; at < bytes.length; ) {
      await this.#ready();
      const piece = bytes.subarray(at, at + this.#sink.room);
      this.write(piece);
      at += piece.length;
    }
    await this.#ready();
  }

  writeZeroes(len) {
    this.write(new Uint8Array(size(len)));
  }

  async blockingWriteZeroesAndFlush(len) {
    await this.blockingWriteAndFlush(new Uint8Array(size(len)));
  }

  splice(from, len) {
    const room = this.checkWrite();
    const bytes = from.read(len < room ? len : room);
    this.write(bytes);
    return BigInt(bytes.length);
  }

  async blockingSplice(from, len) {
    await this.#ready();
    const room = this.checkWrite();
    const bytes = await from.blockingRead(len < room ? len : room);
    this.write(bytes);
    return BigInt(bytes.length);
  }

  subscribe() {
    return new Pollable(() => this.#isReady, () => this.#sink.change);
  }
}

/** A sink whose other end is a `ReadableStream`, `stream`, which takes as much as is read. */
export class Pipe {
  #queue = [];
  #isPulled = false;
  #controller;
  #account;
  #told;
  isClosed = false;
  room = WINDOW;
  written = 0;

  /** What is written and not read yet counts in `account`. */
  constructor(account) {
    this.#account = account;
    this.#renew();
    this.stream = new ReadableStream(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => {
          this.#isPulled = true;
          this.#pass();
        },
        cancel: () => this.end(),
      },
      { highWaterMark: 0 },
    );
  }

  #renew() {
    const told = this.#told;
    this.change = new Promise((tell) => (this.#told = tell));
    told?.();
  }

  #pass() {
    const piece = this.#isPulled && this.#queue.shift();
    if (!piece) return;
    this.#isPulled = false;
    this.room += piece.length;
    this.#account.release(piece.length);
    this.#controller.enqueue(piece);
    if (!this.#queue.length && this.isFinished) this.#controller.close();
    this.#renew();
  }

  write(bytes) {
    this.#account.charge(bytes.length);
    this.room -= bytes.length;
    this.written += bytes.length;
    this.#queue.push(bytes);
    this.#pass();
  }

  /** Nothing more comes. */
  finish() {
    if (this.isClosed) return;
    this.isClosed = this.isFinished = true;
    if (!this.#queue.length) this.#controller.close();
    this.#renew();
  }

  /** The rest never comes. */
  fail(error) {
    if (this.isClosed) return;
    this.end();
    this.#controller.error(error);
  }

  /** Nobody reads any more. */
  end() {
    this.isClosed = true;
    for (const piece of this.#queue.splice(0)) this.#account.release(piece.length);
    this.#renew();
  }

  /** All of it if it is finished; `null` if it is still written, and stays in the stream. */
  take() {
    if (!this.isFinished) return null;
    const bytes = new Uint8Array(this.#queue.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const piece of this.#queue) {
      bytes.set(piece, at);
      at += piece.length;
    }
    this.end();
    return bytes;
  }
}
