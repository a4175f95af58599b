// What outlives the service worker: the registry in IndexedDB, and the files of its vlugins in CacheStorage. Nothing
// here knows what runs.

import { fetch } from "./valor-rules.js";

/** The address of plugins.json, which is also the key of what is kept. */
export const PLUGINS = new URL(new URL(location).searchParams.get("plugins") ?? "plugins.json", location).href;
const CACHE = `valor ${PLUGINS}`;

function database(mode, act) {
  return new Promise((done, failed) => {
    const opening = indexedDB.open("valor", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("registry");
    opening.onerror = () => failed(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction("registry", mode);
      const asked = act(transaction.objectStore("registry"));
      transaction.oncomplete = () => done(asked.result);
      transaction.onabort = () => failed(transaction.error);
      opening.result.close();
    };
  });
}

/** The registry as it was kept: the text of plugins.json, and the mounts. */
export const kept = () => database("readonly", (store) => store.get(PLUGINS));

/** Keeps the text of plugins.json and the mounts, and only those files that they name. */
export async function keep(text, all) {
  const plain = ({ definition, generation, listed, sha256, unavailable }) => ({
    definition,
    generation,
    listed,
    sha256,
    unavailable,
  });
  const mounts = Array.from(all, plain);
  await database("readwrite", (store) => store.put({ text, mounts }, PLUGINS));
  const named = new Set(mounts.map(keyOf));
  const cache = await caches.open(CACHE);
  for (const { url } of await cache.keys()) if (!named.has(url)) await cache.delete(url);
}

/** The address of its file, or of the module made of it. */
export const addressOf = ({ type, name, path = name }) => {
  if (!/[/\\.]/.test(path)) path = type === "wasi" ? `vlugins/${path}/component.js` : `${path}.${type}`;
  return new URL(path, PLUGINS).href;
};

/** The key of its file, which a Worker imports. */
export const keyOf = ({ definition, sha256 }) => `${addressOf(definition)}?valor=${sha256}`;

/** Its file, as it was kept or from the network. */
export async function read(mount) {
  const url = addressOf(mount.definition);
  if (new URL(url).origin !== location.origin) throw new Error(`${url} is of another origin`);
  const wanted = mount.definition.sha256?.toLowerCase();
  mount.sha256 = wanted ?? mount.sha256;
  const cache = await caches.open(CACHE);
  const kept = await cache.match(keyOf(mount));
  if (kept) return kept;
  const answer = await fetch(url, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  const bytes = await answer.arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  mount.sha256 = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (wanted && mount.sha256 !== wanted)
    throw new Error(`${url} has the SHA-256 ${mount.sha256}, and the definition says ${wanted}`);
  // `compileStreaming` insists on the type, and so does `import`.
  const type = mount.definition.type === "js" ? "text/javascript" : "application/wasm";
  const response = new Response(bytes, { headers: { "content-type": type } });
  await cache.put(keyOf(mount), response.clone());
  return response;
}
