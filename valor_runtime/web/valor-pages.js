// Vlugins that the service worker has not imported, because they were registered later. Each runs in a Worker that a
// page owns (valor.js), since a service worker can have none. The Worker holds a lock as long as it lives, so its end
// is noticed, and a restarted service worker finds it again.

import { Account } from "./account.js";
import { Line } from "./valor-line.js";
import { Fault, NAME, addEventListener, fetch, refuse } from "./valor-rules.js";
import { Script, asks, importedFor } from "./valor-js.js";

/** How long a page or its Worker may take to report, in ms. */
const PATIENCE = 5000;
const WORKER = new URL("valor-worker.js", import.meta.url).href;
// `?valor`: not for the registry, which may wait for it.
const CHECK = new URL("valor-check.js?valor", import.meta.url).href;
/** Whether a vlugin in the service worker may not call all others: then it must be known who calls. */
let isLimited = false;

/** By lock. */
const remotes = new Map();

/** Where the code of a definition runs. */
export const runsIn = (definition) =>
  definition.type === "js" && !importedFor(definition) ? "page worker" : "service worker";

/** The vlugin of a mount. `stored` puts its file where a Worker can import it, and returns the address. */
export async function script(mount, { call }, stored) {
  const { definition } = mount;
  const known = importedFor(definition);
  if (!known) return Remote.create(mount, await stored(), call);
  known.allow = definition.allow ?? [];
  known.account = new Account(definition.limits);
  known.account.call = call;
  isLimited ||= !!definition.callees;
  asks(async (callee, request) => {
    if (isLimited && NAME.test(callee))
      refuse(
        403,
        `\`${callee}\` may not be called: no vlugin's own code calls it here, ` +
          "so it is not known whose `callees` to ask",
      );
    return call(callee, request);
  });
  return Script.create(known.module, definition, known.account);
}

const nobody = () =>
  new Fault("away", 503, "it runs in a page's worker, and no page that has called start() is open; reload one");

function within(ms, promise) {
  return Promise.race([promise, new Promise((_, failed) => setTimeout(() => failed(nobody()), ms))]);
}

/** The first page that answers, and its answer. */
async function askPages(what) {
  const all = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const asked = all.map(
    (client) =>
      new Promise((done) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => done([client, data]);
        client.postMessage(what, [port2]);
      }),
  );
  if (!all.length) throw nobody();
  return within(PATIENCE, Promise.race(asked));
}

/** Refuses an invalid definition, if a page can check it. `value` is the parsed text. */
export async function checked(text, value, one) {
  const said = await askPages({ valor: "check", worker: CHECK, text, value, one }).catch(() => []);
  if (said[1]) refuse(422, said[1]);
}

/** The page that has the Worker of this key, or one that offers to. */
async function page(key) {
  const { held } = await navigator.locks.query();
  const lock = held.find(({ name }) => name.startsWith(`${key} `))?.name;
  const owner = lock && (await clients.get(lock.slice(key.length + 1)));
  return owner ?? (await askPages("valor:who"))[0];
}

const keyOf = ({ prefix, name, generation }) => `valor ${location} ${prefix} ${name} ${generation}`;

/** A vlugin in a page's Worker, with the interface of a guest. */
export class Remote {
  static async create(mount, url, call) {
    const key = keyOf(mount);
    const client = await page(key);
    const made = new Remote(mount, client, `${key} ${client.id}`, call);
    try {
      await made.start(url);
      return made;
    } catch (error) {
      made.end(error);
      throw error;
    }
  }

  constructor(mount, client, lock, call) {
    Object.assign(this, { mount, client, lock, trapped: null });
    const { port1, port2 } = new MessageChannel();
    // What it posts can bypass its own count.
    const account = new Account(mount.definition.limits);
    this.line = new Line(port1, async (name, request) => {
      account.begin("calls");
      return Promise.resolve(call(name, request)).finally(() => account.end("calls"));
    });
    this.line.emptied = () => this.mount.gone && !this.line.open.size && this.end(nobody());
    remotes.set(lock, this);
    client.postMessage({ valor: "start", worker: WORKER, name: mount.name, lock }, [port2]);
  }

  async start(url) {
    await within(PATIENCE, this.line.ask("lock"));
    const lost = () => this.end(new Fault("error", 502, "the page that had its worker is gone"));
    // Granted when the Worker is gone.
    navigator.locks.request(this.lock, { mode: "shared" }, lost);
    const { name, config, allow = [], limits } = this.mount.definition;
    await this.line.ask("start", { url, name, config, allow, limits });
    // Something else was wrong, so it was never mounted.
    setTimeout(() => this.mounted || this.end(nobody()), 60000);
  }

  async request(request) {
    this.mounted = true;
    try {
      return await this.line.ask("request", request);
    } catch (error) {
      // One that computes without a pause receives nothing.
      if (error.kind === "timeout")
        within(PATIENCE, this.line.ask("lock")).catch(() =>
          this.end(new Fault("error", 502, "its worker hung, and was ended")),
        );
      throw error;
    }
  }

  end(reason) {
    if (this.trapped) return;
    this.trapped = reason;
    remotes.delete(this.lock);
    this.line.end(reason);
    this.client.postMessage({ valor: "end", lock: this.lock });
  }
}

/** Ends the Workers of vlugins that are no longer mounted, once nothing runs on them. */
export async function keep(byPrefix) {
  const mounts = [...byPrefix.values()];
  for (const remote of remotes.values()) {
    const isMounted = mounts.includes(remote.mount);
    remote.mount.gone = remote.mounted && !isMounted;
    remote.mounted ||= isMounted;
    remote.line.emptied();
  }
  const keys = mounts.filter(({ definition }) => runsIn(definition) === "page worker").map(keyOf);
  for (const { name: lock } of (await navigator.locks.query()).held) {
    if (!lock.startsWith(`valor ${location} `) || remotes.has(lock) || keys.some((key) => lock.startsWith(`${key} `)))
      continue;
    (await clients.get(lock.slice(lock.lastIndexOf(" ") + 1)))?.postMessage({ valor: "end", lock });
  }
}

// Such a Worker imports the file that was read and checked, even without the network.
addEventListener("fetch", (event) => {
  if (!new URL(event.request.url).searchParams.has("valor")) return;
  event.respondWith(caches.match(event.request.url).then((kept) => kept ?? fetch(event.request)));
  event.stopImmediatePropagation();
});
