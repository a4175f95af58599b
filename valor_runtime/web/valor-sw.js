// The service worker: the host of WebAssembly vlugins in a page. It routes what the page asks its
// own origin for as the server's `dispatch` does, and leaves to the network what no vlugin
// matches. All that it has to remember stands in IndexedDB and in CacheStorage, so a worker that
// the browser ended finds everything again. Registered by valor.js.

import { Guest, LEVELS } from "./guest.js";
import { Fault, idOf, json, permits, problem, resolve, route, without } from "./http.js";

const LONGEST = 1024 * 1024;
const CACHE = "valor";
const PLUGINS = new URL(new URL(location).searchParams.get("plugins") ?? "plugins.json", location).href;
const DEFAULTS = { timeout: 30, body: 10485760, concurrency: 1024 };

/** Mounts by name and by prefix. */
let registry;
const byName = new Map();
const byPrefix = new Map();
let generation = 0;

// What is to outlive the worker.

function database(mode, act) {
  return new Promise((done, failed) => {
    const opening = indexedDB.open("valor", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("registry");
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("registry", mode);
      const asked = act(transaction.objectStore("registry"));
      transaction.oncomplete = () => (opening.result.close(), done(asked.result));
      transaction.onerror = () => (opening.result.close(), failed(transaction.error));
    };
  });
}

const save = () => {
  const definitions = [...byName.values()].map((mount) => mount.definition);
  return database("readwrite", (store) => store.put({ text: registry.text, definitions }, PLUGINS));
};

/** The registry as it was kept; of plugins.json where nothing was. */
function awake() {
  awake.once ??= (async () => {
    const kept = await database("readonly", (store) => store.get(PLUGINS));
    if (!kept) return load();
    registry = kept;
    for (const definition of kept.definitions) insert(mount(definition));
  })();
  awake.once.catch(() => (awake.once = null));
  return awake.once;
}

/** Reads plugins.json; where it says what it said before, all stays as it is. */
async function load() {
  const response = await fetch(PLUGINS, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${PLUGINS} answers ${response.status}: say in start({ plugins }) where it is`);
  const text = await response.text();
  if (registry?.text === text) return;
  let plugins;
  try {
    ({ plugins } = JSON.parse(text));
    if (!Array.isArray(plugins)) throw new Error("it has no array `plugins`");
  } catch (error) {
    throw new Error(`${PLUGINS}: ${error.message}`);
  }
  const mounts = [];
  for (const definition of plugins) {
    if (definition.type === "native") {
      console.info(`valor: left out \`${definition.name}\`: a native vlugin does not run in a browser`);
      continue;
    }
    const fresh = mount(definition);
    try {
      fit(definition);
      await prepare(fresh);
    } catch (error) {
      if (!definition.optional) throw new Error(`${PLUGINS}: the vlugin \`${definition.name}\`: ${error.message}`);
      fresh.unavailable = error.message;
    }
    mounts.push(fresh);
  }
  byName.clear();
  byPrefix.clear();
  registry = { text };
  mounts.forEach(insert);
  await save();
}

// The registry.

function fit({ type, name, prefix = `/${name}` }) {
  const refuse = (line) => {
    throw new Fault("refused", 422, line);
  };
  if (!/^[a-z\d-][\w.-]{0,63}$/i.test(name ?? "")) refuse(`\`${name}\` is not a name for a vlugin`);
  if (type !== "wasm") refuse(`a vlugin of type \`${type}\` does not run in a browser, only \`wasm\` does`);
  if (!/^\/(.*[^/])?$/.test(prefix) || prefix.startsWith("/_")) refuse(`\`${prefix}\` is not a prefix for a vlugin`);
}

function mount(definition) {
  const { name, prefix = `/${name}`, limits } = definition;
  return { name, prefix, definition, limits: { ...DEFAULTS, ...limits }, generation: ++generation, running: 0 };
}

function insert(mount) {
  byName.set(mount.name, mount);
  byPrefix.set(mount.prefix, mount);
}

function remove({ name, prefix }) {
  byName.delete(name);
  byPrefix.delete(prefix);
}

/** The module's bytes, kept in CacheStorage, and held to `sha256`. */
async function module({ definition }) {
  const url = new URL(definition.path ?? `${definition.name}.wasm`, PLUGINS).href;
  if (new URL(url).origin !== location.origin) throw new Error(`${url} is of another origin`);
  const cache = await caches.open(CACHE);
  let response = await cache.match(url);
  if (!response) {
    response = await fetch(url, { cache: "no-cache" });
    if (!response.ok) throw new Error(`${url} answers ${response.status}`);
    await check(response.clone(), url, definition.sha256);
    await cache.put(url, response.clone());
  } else await check(response.clone(), url, definition.sha256);
  // The server may not know the type, and `compileStreaming` insists on it.
  const headers = { "content-type": "application/wasm" };
  return WebAssembly.compileStreaming(new Response(response.body, { headers }));
}

async function check(response, url, wanted) {
  if (!wanted) return;
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await response.arrayBuffer()));
  const found = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found === wanted.toLowerCase()) return;
  await (await caches.open(CACHE)).delete(url);
  throw new Error(`${url} has the SHA-256 ${found}, and the definition says ${wanted}`);
}

/** The mount's guest; a fresh one where the last has trapped. */
function prepare(mount) {
  if (mount.ready?.trapped) mount.guest = mount.ready = null;
  mount.guest ??= (async () => {
    try {
      mount.module ??= await module(mount);
      mount.ready = await Guest.create(mount.module, mount.name, mount.definition.config, hostOf(mount));
      return mount.ready;
    } catch (error) {
      mount.guest = null;
      throw error;
    }
  })();
  return mount.guest;
}

// What a guest asks for.

function hostOf({ name, definition }) {
  return {
    log: (level, target, line) => console[LEVELS[level] ?? "debug"](`valor: ${name}: ${line}`),
    call: (callee, request) => {
      request.headers = without(request.headers, "upgrade");
      const mount = !callee.startsWith("_") && byName.get(callee);
      const id = idOf(request.headers);
      return mount ? run(mount, request, id) : ended(problem(404, `no vlugin is named \`${callee}\``), id);
    },
    fetch: async ({ method, target, headers, body, signal }) => {
      const url = new URL(target);
      if (!permits(definition.allow ?? [], url))
        throw new Fault("refused", 403, `${url.host} is not in the \`allow\` of the vlugin \`${name}\``);
      const bodied = body instanceof ReadableStream || body?.length;
      const response = await fetch(url, {
        method, headers, signal, redirect: "manual", credentials: "omit",
        ...(bodied && { body, duplex: "half" }),
      });
      if (response.type === "opaqueredirect")
        throw new Fault("error", 502, `${url.host} answers with a redirect, which a browser does not show`);
      // What the browser has decoded is no longer what these say.
      const encoded = response.headers.has("content-encoding");
      const kept = [...response.headers].filter(([n]) => !encoded || !/^content-(encoding|length)$/.test(n));
      const length = encoded ? null : response.headers.get("content-length");
      return { status: response.status, headers: kept, length: length && +length, body: response.body };
    },
  };
}

// A request's way, as in the server's `dispatch`.

function ended(response, id, mount) {
  const headers = without(without(response.headers, "x-correlation-id"), "x-valor-plugin");
  headers.push(["x-correlation-id", id]);
  if (mount) headers.push(["x-valor-plugin", mount.name]);
  return { ...response, headers };
}

async function answer(request) {
  const id = idOf(request.headers);
  const [path] = request.target.split("?");
  const own = /^\/_(health|plugins)(\/.*)?$/.exec(path);
  if (own) return ended(await OWN[own[1]](request, own[2] ?? ""), id, { name: `_${own[1]}` });
  const found = route(byPrefix, path);
  if (!found) return ended(problem(404, `no vlugin is mounted at ${path}`), id);
  const [mount, length] = found;
  const rest = request.target.slice(length);
  request.headers = without(request.headers, "x-forwarded-prefix");
  if (length) request.headers.push(["x-forwarded-prefix", path.slice(0, length)]);
  request.target = rest.startsWith("/") ? rest : `/${rest}`;
  return run(mount, request, id);
}

async function run(mount, request, id) {
  const { name, limits } = mount;
  if (mount.unavailable) return ended(problem(503, `the vlugin \`${name}\` is unavailable: ${mount.unavailable}`), id, mount);
  const large = `the body is over the limit of ${limits.body} bytes`;
  if (mount.running >= limits.concurrency) {
    const refusal = problem(503, `the vlugin \`${name}\` runs ${mount.running} requests already`);
    refusal.headers.push(["retry-after", "1"]);
    return ended(refusal, id, mount);
  }
  if ((request.length ?? 0) > limits.body) return ended(problem(413, large), id, mount);
  let over = false;
  let left = limits.body;
  const count = (piece, controller) => {
    left -= piece.length;
    over ||= left < 0;
    if (over) controller.error(new Error(large));
    else controller.enqueue(piece);
  };
  if (request.body instanceof ReadableStream) request.body = request.body.pipeThrough(new TransformStream({ transform: count }));
  request.headers = [...without(request.headers, "x-request-id"), ["x-request-id", id]];
  const stop = new AbortController();
  const late = new Fault("timeout", 504, `no response within ${limits.timeout} s`);
  const timer = setTimeout(() => stop.abort(late), limits.timeout * 1000);
  const gone = () => stop.abort(new Fault("error", 499, "the client has gone"));
  if (request.signal?.aborted) gone();
  request.signal?.addEventListener("abort", gone, { once: true });
  mount.running++;
  let response;
  try {
    const guest = await prepare(mount);
    response = await guest.request({ ...request, signal: stop.signal });
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault("error", 502, String(error.message ?? error));
    console[fault.status < 500 ? "debug" : "error"](`valor: the vlugin \`${name}\` failed: ${fault.message} (id ${id})`);
    const said =
      fault.status < 500 ? fault.message
      : fault.kind === "timeout" ? `the vlugin \`${name}\` did not answer within ${limits.timeout} s`
      : `the vlugin \`${name}\` failed; the log says why, under id ${id}`;
    response = problem(fault.status, said);
  }
  clearTimeout(timer);
  const done = () => {
    mount.running--;
    request.signal?.removeEventListener("abort", gone);
  };
  if (over) {
    response.body?.cancel?.();
    response = problem(413, large);
  }
  if (!(response.body instanceof ReadableStream)) done();
  else response.body = tracked(response.body, done);
  return ended(response, id, mount);
}

/** The same stream, which says when it has ended, in whichever way. */
function tracked(body, done) {
  const reader = body.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done: last, value } = await reader.read();
          if (!last) return controller.enqueue(value);
          done();
          controller.close();
        } catch (error) {
          done();
          controller.error(error);
        }
      },
      cancel(reason) {
        done();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

// The vlugins of the host itself.

function notAllowed(methods) {
  const refusal = problem(405, `the methods here are ${methods}`);
  refusal.headers.push(["allow", methods]);
  return refusal;
}

const describe = ({ name, prefix, definition, generation, unavailable, running, limits }) => ({
  file: new URL(definition.path ?? `${name}.wasm`, PLUGINS).href,
  generation, limits, name, prefix,
  reason: unavailable ?? null, running, sha256: definition.sha256 ?? null,
  state: unavailable ? "unavailable" : "ready", type: definition.type, version: null,
});

async function definitionOf({ headers, body }) {
  const kind = headers.find(([name]) => name === "content-type")?.[1] ?? "";
  if (kind.split(";")[0].trim().toLowerCase() !== "application/json")
    throw new Fault("refused", 415, "a definition is sent as application/json");
  const text = await new Response(body).text();
  if (text.length > LONGEST) throw new Fault("refused", 413, `the definition is over ${LONGEST} bytes`);
  let definition;
  try {
    definition = JSON.parse(text);
  } catch (error) {
    throw new Fault("refused", 400, `the body is not JSON: ${error.message}`);
  }
  fit(definition);
  if (definition.source !== undefined)
    throw new Fault("refused", 422, "`source` is for plugins.json: over HTTP nothing is built");
  return definition;
}

async function plugins(request, path) {
  const name = path.slice(1);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const found = () => {
    if (byName.has(name)) return byName.get(name);
    throw new Fault("refused", 404, `no vlugin is named \`${name}\``);
  };
  if (!name && method === "GET") return json(200, { plugins: [...byName.values()].map(describe) });
  if (method === "GET") return json(200, describe(found()));
  if (name && method === "DELETE") {
    remove(found());
    await save();
    return { status: 204, headers: [], body: null };
  }
  if (name ? method !== "PUT" : method !== "POST") return notAllowed(name ? "GET, HEAD, PUT, DELETE" : "GET, HEAD, POST");
  const old = name ? found() : null;
  const definition = await definitionOf(request);
  if (old && definition.name !== name)
    throw new Fault("refused", 422, `the definition is of \`${definition.name}\`, but the path names \`${name}\`: they have to be the same`);
  const fresh = mount(definition);
  const free = () => {
    const at = byPrefix.get(fresh.prefix);
    if (!old && byName.has(fresh.name)) throw new Fault("refused", 409, `the name \`${fresh.name}\` is taken`);
    if (at && at.name !== old?.name) throw new Fault("refused", 409, `the prefix \`${fresh.prefix}\` is taken by \`${at.name}\``);
  };
  free();
  // A newer build has the same address.
  const url = new URL(definition.path ?? `${definition.name}.wasm`, PLUGINS).href;
  await (await caches.open(CACHE)).delete(url);
  try {
    await prepare(fresh);
  } catch (error) {
    throw new Fault("refused", 422, error.message);
  }
  free();
  if (old) remove(found());
  insert(fresh);
  await save();
  const response = json(old ? 200 : 201, describe(fresh));
  if (!old) response.headers.push(["location", `/_plugins/${fresh.name}`]);
  return response;
}

const OWN = {
  health: async ({ method }, path) => {
    if (method !== "GET" && method !== "HEAD") return notAllowed("GET, HEAD");
    if (path === "/live") return json(200, { status: "live" });
    if (!["", "/", "/ready"].includes(path))
      return problem(404, `there is no /_health${path}: /_health, /_health/live and /_health/ready`);
    const unavailable = [...byName.values()].filter((m) => m.unavailable).map((m) => [m.name, m.unavailable]);
    return json(200, { status: "ready", unavailable: Object.fromEntries(unavailable) });
  },
  plugins: (request, path) =>
    plugins(request, path).catch((error) => {
      if (error instanceof Fault) return problem(error.status, error.message);
      throw error;
    }),
};

// From the browser's requests, and back.

/** Whether this path is ours to answer. */
const matches = (path) => /^\/_(health|plugins)(\/|$)/.test(path) || route(byPrefix, path);

async function respond(event, url, path) {
  const { request } = event;
  const asked = {
    method: request.method,
    target: path + url.search,
    https: url.protocol === "https:",
    headers: [...request.headers, ["host", url.host]],
    body: null,
    signal: request.signal,
  };
  const length = request.headers.get("content-length");
  // Chromium has no `request.body` for all kinds of bodies; a form's is read whole.
  if (!["GET", "HEAD"].includes(request.method))
    asked.body = request.body ?? new Uint8Array(await request.arrayBuffer());
  asked.length = length === null ? (asked.body?.length ?? null) : +length;
  const { status, headers, body } = await answer(asked);
  const bodyless = request.method === "HEAD" || [204, 205, 304].includes(status);
  if (bodyless) body?.cancel?.();
  if (status < 200) return new Response(null, { status: 502 });
  return new Response(bodyless ? null : body, { status, headers });
}

self.addEventListener("install", (event) => event.waitUntil(awake().then(() => skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(clients.claim()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== location.origin) return;
  const path = resolve(url.pathname);
  // A worker that was just woken knows its registry only a moment later.
  if (registry) return matches(path) && event.respondWith(respond(event, url, path));
  const later = awake().then(
    () => (matches(path) ? respond(event, url, path) : fetch(event.request)),
    () => fetch(event.request),
  );
  event.respondWith(later);
});
self.addEventListener("message", (event) => {
  const { data, ports: [port] } = event;
  if (data === "valor:claim") return event.waitUntil(clients.claim());
  if (data !== "valor:load") return;
  const offline = (error) => {
    // Without the network, what was kept goes on.
    if (!(error instanceof TypeError && registry)) throw error;
  };
  const loaded = awake().then(() => load().catch(offline));
  event.waitUntil(loaded.then(() => port.postMessage(null), (error) => port.postMessage(error.message)));
});
