// What a component finds in a page apart from wasi:http: clocks, random bytes, its configuration, output to the
// console. There are no files and no sockets. The interfaces of 0.2 and 0.3 have one object if they share a name.

import { IoError, InputStream, OutputStream, Pollable, poll, refusal, size } from "./io.js";
import { feed } from "./streams.js";

/** Bytes of a line for people. */
const LINE = 8192;
/** What Rust writes after a panic, and says nothing. */
const NOTE = "note: run with";
/** A browser's longest timer, in ms. */
const LONGEST = 0x7fffffff;
/** Bytes that `crypto` gives at once. */
const PIECE = 65536;

const now = () => BigInt(Math.round(performance.now() * 1e6));

/** Calls back after so many nanoseconds; returns what cancels that. */
function after({ account, timers }, nanoseconds, ring) {
  account.timer(timers.size);
  const one = {};
  const wait = (left) => {
    one.id = setTimeout(() => (left > LONGEST ? wait(left - LONGEST) : end() || ring()), Math.min(left, LONGEST));
  };
  const end = () => {
    clearTimeout(one.id);
    timers.delete(end);
  };
  timers.add(end);
  wait(Number(nanoseconds) / 1e6);
  return end;
}

function until(instance, nanoseconds) {
  if (nanoseconds <= 0n) return Pollable.always();
  let end;
  const rings = new Promise((ring) => (end = after(instance, nanoseconds, ring)));
  return Pollable.of(rings, end);
}

/** A promise for the same, which is over at once if the component gives it up. */
function waiting(instance, nanoseconds) {
  if (nanoseconds <= 0n) return;
  let cancel;
  const rings = new Promise((ring) => {
    const end = after(instance, nanoseconds, ring);
    cancel = () => end() ?? ring();
  });
  return Object.assign(rings, { cancel });
}

function bytes(len) {
  const all = new Uint8Array(size(len));
  for (let at = 0; at < all.length; at += PIECE) crypto.getRandomValues(all.subarray(at, at + PIECE));
  return all;
}

const number = () => new DataView(bytes(8n).buffer).getBigUint64(0, true);

/** A sink that writes whole lines to the console. */
class Lines {
  room = 65536;
  isClosed = false;
  #decoder = new TextDecoder();
  #rest = "";

  constructor(log) {
    this.log = log;
  }

  write(piece) {
    const lines = (this.#rest + this.#decoder.decode(piece, { stream: true })).split("\n");
    this.#rest = lines.pop();
    lines.forEach(this.log);
    if (this.#rest.length > LINE) this.flush();
  }

  flush() {
    if (this.#rest) this.log(this.#rest);
    this.#rest = "";
  }
}

/** The keys of a configuration that is an object, with their values as texts. */
function pairs(config) {
  const isObject = Object(config) === config && !Array.isArray(config);
  const all = Object.entries(isObject ? config : {});
  return all.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]);
}

/** The same, and all of it as JSON under `config`. */
const stored = (config) => [
  ...pairs(config).filter(([name]) => name !== "config"),
  ["config", JSON.stringify(config)],
];

const denied = () => {
  throw refusal("access-denied");
};
const classes = (...names) => Object.fromEntries(names.map((name) => [name, class {}]));

/** The interfaces of one instance, by their names without a version. */
export function imports(instance) {
  const { name, config } = instance;
  const output = (level) => {
    const sink = new Lines((line) => {
      instance.host.log(level, name, line);
      if (level === 2 && !line.startsWith(NOTE)) instance.told.last = line;
    });
    instance.ends.push(() => sink.flush());
    return sink;
  };
  // A panic goes to stderr.
  const [out, error] = [output(3), output(2)];
  const exit = (status) => {
    throw new Error(`it called exit: ${typeof status === "object" ? status.tag : status}`);
  };
  const random = { getRandomBytes: bytes, getRandomU64: number };
  const seed = () => [number(), number()];
  return {
    "wasi:cli/environment": {
      getEnvironment: () => [["VALOR_NAME", name], ...pairs(config)],
      getArguments: () => [],
      initialCwd: () => undefined,
      getInitialCwd: () => undefined,
    },
    "wasi:cli/exit": { exit, exitWithCode: exit },
    "wasi:cli/stdin": {
      getStdin: () => InputStream.of(null),
      readViaStream: () => [new ReadableStream({ start: (it) => it.close() }), Promise.resolve({ tag: "ok" })],
    },
    "wasi:cli/stdout": { getStdout: () => OutputStream.of(out), writeViaStream: (from) => feed(from, out) },
    "wasi:cli/stderr": { getStderr: () => OutputStream.of(error), writeViaStream: (from) => feed(from, error) },
    "wasi:cli/types": {},
    "wasi:cli/terminal-input": classes("TerminalInput"),
    "wasi:cli/terminal-output": classes("TerminalOutput"),
    "wasi:cli/terminal-stdin": { getTerminalStdin: () => undefined },
    "wasi:cli/terminal-stdout": { getTerminalStdout: () => undefined },
    "wasi:cli/terminal-stderr": { getTerminalStderr: () => undefined },
    "wasi:clocks/types": {},
    "wasi:clocks/monotonic-clock": {
      now,
      resolution: () => 5000n,
      getResolution: () => 5000n,
      subscribeInstant: (when) => until(instance, when - now()),
      subscribeDuration: (duration) => until(instance, duration),
      waitUntil: (when) => waiting(instance, when - now()),
      waitFor: (duration) => waiting(instance, duration),
    },
    "wasi:clocks/wall-clock": { now: wall, resolution: () => ({ seconds: 0n, nanoseconds: 1000000 }) },
    "wasi:clocks/system-clock": { now: wall, getResolution: () => 1000000n },
    "wasi:config/store": {
      get: (name) => stored(config).find(([it]) => it === name)?.[1],
      getAll: () => stored(config),
    },
    "wasi:filesystem/preopens": { getDirectories: () => [] },
    "wasi:filesystem/types": { ...classes("Descriptor", "DirectoryEntryStream"), filesystemErrorCode: () => undefined },
    "wasi:io/error": { Error: IoError },
    "wasi:io/poll": { Pollable, poll },
    "wasi:io/streams": { InputStream, OutputStream },
    "wasi:random/random": random,
    "wasi:random/insecure": { getInsecureRandomBytes: bytes, getInsecureRandomU64: number },
    "wasi:random/insecure-seed": { insecureSeed: seed, getInsecureSeed: seed },
    "wasi:sockets/network": { ...classes("Network"), networkErrorCode: () => undefined },
    "wasi:sockets/instance-network": { instanceNetwork: denied },
    "wasi:sockets/ip-name-lookup": { ...classes("ResolveAddressStream"), resolveAddresses: denied },
    "wasi:sockets/tcp": classes("TcpSocket"),
    "wasi:sockets/tcp-create-socket": { createTcpSocket: denied },
    "wasi:sockets/udp": classes("UdpSocket", "IncomingDatagramStream", "OutgoingDatagramStream"),
    "wasi:sockets/udp-create-socket": { createUdpSocket: denied },
    "wasi:sockets/types": classes("TcpSocket", "UdpSocket"),
  };
}

function wall() {
  const ms = Date.now();
  return { seconds: BigInt(Math.floor(ms / 1000)), nanoseconds: (ms % 1000) * 1000000 };
}
