// The main thread of a Deno process in which Valor runs JavaScript vlugins. It runs no vlugin's code: each vlugin has a
// worker, with fewer permissions than this thread. Its first argument is a socket. Over it come JSON objects (start,
// stop), and others go back (listening, ready, failed, died, blocked, stopped). When the socket ends, Valor has ended,
// and so does this process, even while a vlugin is in a loop.
//
// A vlugin can open the socket by its number, like any descriptor of the process. So each object is sealed, with a key
// that only this thread has: sealed.rs says how.

const [control, memory] = Deno.args;
const here = import.meta.dirname;
// A loopback port, or the path of a Unix socket.
const isPort = /^\d+$/.test(control);
/** The number of digits of the key. */
const KEY = 64;
const told = await new Response(Deno.stdin.readable).text();
const raw = Uint8Array.fromHex(told.slice(0, KEY));
const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
const link = await Deno.connect(
  isPort ? { hostname: "127.0.0.1", port: Number(control) } : { transport: "unix", path: control },
);
const FROM_VALOR = 0;
const FROM_SUPERVISOR = 1;
/** The most bytes in a record from Valor: a longer one is invalid. */
const LONGEST = 1 << 28;
const workers = new Map();
let started = 0;
// What is created here is private: the sockets of scripts, Deno's caches.
if (!isPort) Deno.umask(0o077);
/**
 * What a worker may say next, by what it has said: each message once. The first comes before any code of its script.
 */
const NEXT = { __proto__: null, started: ["listening"], listening: ["ready", "failed"], ready: [], failed: [] };
/** The most milliseconds that the process waits until Valor takes its last message. */
const UNTOLD = 2000;
/** The most characters of a text for Valor. */
const TOLD = 4096;

/** The parameters that seal the record with this number. */
function sealing(direction, number) {
  const iv = new DataView(new ArrayBuffer(12));
  iv.setUint32(0, direction, true);
  iv.setBigUint64(4, BigInt(number), true);
  return { name: "AES-GCM", iv };
}

async function write(bytes) {
  for (let at = 0; at < bytes.length; ) at += await link.write(bytes.subarray(at));
}

let said = 0;
let saying = Promise.resolve();

async function seal(text) {
  const sealed = await crypto.subtle.encrypt(sealing(FROM_SUPERVISOR, said++), key, new TextEncoder().encode(text));
  const record = new Uint8Array(4 + sealed.byteLength);
  new DataView(record.buffer).setUint32(0, sealed.byteLength, true);
  record.set(new Uint8Array(sealed), 4);
  await write(record);
}

/** Sends something to Valor, after earlier messages; settles when it is on its way. */
function say({ event, slot, message = "", port }) {
  const text = JSON.stringify({ event, slot, message: String(message).slice(0, TOLD), port });
  saying = saying.then(() => seal(text)).catch(end);
  return saying;
}

/** The next bytes from Valor; null if it has ended. */
async function read(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const count = await link.read(bytes.subarray(at));
    if (count === null) return null;
    at += count;
  }
  return bytes;
}

/** Valor's messages, one after the other. A record that does not open is an error, which ends the process. */
async function* orders() {
  for (let number = 0; ; number++) {
    const head = await read(4);
    if (!head) return;
    const length = new DataView(head.buffer).getUint32(0, true);
    if (length > LONGEST) throw new Error("a record is longer than it may be");
    const sealed = await read(length);
    if (!sealed) return;
    const opened = await crypto.subtle.decrypt(sealing(FROM_VALOR, number), key, sealed);
    yield JSON.parse(new TextDecoder().decode(opened));
  }
}

function end() {
  try {
    Deno.removeSync(here, { recursive: true });
  } catch {
    // Valor has done so, or is about to.
  }
  Deno.exit(0);
}

/** A list, as a permission: an empty one would mean everything. */
const some = (list) => list.length > 0 && list;

/**
 * The module that a script's worker begins with. It names the script as a text, so that the script and its named
 * imports are loaded with the permissions of this thread: the worker needs none to read files.
 */
function starting(file) {
  const url = new URL(`./start-${++started}.js`, import.meta.url);
  const text = `import { importing } from "./worker.js";\nimporting(() => import(${JSON.stringify(file)}));\n`;
  Deno.writeTextFileSync(url, text, { createNew: true, mode: 0o600 });
  return url;
}

function start({ slot, name, socket, file, source, read, cpu, ...rest }) {
  const sockets = socket === undefined ? [] : [socket];
  try {
    for (const old of sockets) Deno.removeSync(old);
  } catch {
    // It is the first of this slot.
  }
  const permissions = {
    read: some([...read, ...sockets]),
    write: some(sockets),
    // Without a socket it listens on any free loopback port.
    net: socket === undefined ? ["127.0.0.1:0"] : [`unix:${socket}`],
    env: false,
    run: false,
    ffi: false,
    sys: false,
    import: false,
  };
  const module = source === undefined ? starting(file) : new URL("./worker.js", import.meta.url);
  const worker = new Worker(module, { type: "module", name, deno: { permissions } });
  const it = { worker, timer: 0, stage: "started", ping: undefined, isStopping: false };
  workers.set(slot, it);
  worker.onerror = (event) => {
    event.preventDefault();
    fatal({ event: "died", slot, message: event.message });
  };
  // A script can send all of these as well, and anything else that can be cloned.
  worker.onmessage = ({ data }) => {
    const { event, pong, message, port } = Object(data);
    if (pong !== undefined) {
      if (pong !== it.ping) return;
      it.ping = undefined;
      clearTimeout(it.timer);
      it.timer = setTimeout(beat, cpu / 2);
    } else if (event === "stopped") {
      if (it.isStopping) gone(slot, it);
    } else if (NEXT[it.stage].includes(event)) {
      it.stage = event;
      if (event === "listening") say({ event, slot, port });
      else say({ event, slot, message: typeof message === "string" ? message : "" });
      if (event === "ready") beat();
    }
  };
  // A worker whose event loop does not come round in time is in a loop. It must answer a number that nobody can guess,
  // and that it only learns when its event loop comes round.
  const beat = () => {
    if (workers.get(slot) !== it) return;
    it.ping = crypto.randomUUID();
    worker.postMessage({ ping: it.ping });
    it.timer = setTimeout(late, cpu);
  };
  // There may be an answer that this thread has not come to.
  const late = () => {
    it.timer = setTimeout(() => fatal({ event: "blocked", slot }), 5);
  };
  worker.postMessage({ name, socket, file, source, ...rest });
}

/** Ends a worker that has nothing more to do. */
function gone(slot, it) {
  if (workers.get(slot) !== it) return;
  workers.delete(slot);
  clearTimeout(it.timer);
  it.worker.terminate();
  say({ event: "stopped", slot });
}

/** Ends the process once Valor knows why, or soon: `terminate` does not end a worker that is in a loop. */
async function fatal(event) {
  setTimeout(() => Deno.exit(1), UNTOLD);
  await say(event);
  Deno.exit(1);
}

function stop({ slot, wait }) {
  const it = workers.get(slot);
  if (!it) return;
  it.isStopping = true;
  it.worker.postMessage({});
  setTimeout(() => gone(slot, it), wait);
}

// Memory outside V8's heap, which its limit does not count.
setInterval(() => {
  if (Deno.memoryUsage().rss > Number(memory)) fatal({ event: "memory" });
}, 250);

if (isPort) await write(new TextEncoder().encode(`${told.slice(KEY)}\n`));
try {
  for await (const order of orders()) {
    if (order.command === "start") start(order);
    else stop(order);
  }
  end();
} catch {
  fatal({ event: "died", message: "its control link broke off: something on it is not Valor's" });
}
