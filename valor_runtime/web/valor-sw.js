// The service worker: the host of vlugins in a page, registered by valor.js. It passes a page's request to
// `valor-dispatch.js` if a vlugin matches; other requests go to the network.

import { answer } from "./valor-dispatch.js";
import { awake, byPrefix, isElsewhere, load, text } from "./valor-registry.js";
import { addEventListener, fetch, mayHaveBody, resolve, route } from "./valor-rules.js";
import "./valor-vlugins.js";

function matches(path) {
  if (/^\/_(health|plugins)(\/|$)/.test(path)) return true;
  const found = route(byPrefix, path);
  return found && !isElsewhere(found[0].definition);
}

/** A body for the page: if a vlugin has compressed it, nothing after a service worker would unpack it. */
function decoded({ body, headers, ...response }) {
  const codings = headers
    .filter(([name]) => name === "content-encoding")
    .flatMap(([, value]) => value.toLowerCase().split(/\s*,\s*/));
  if (!body || !codings.length) return { ...response, body, headers };
  let steps;
  try {
    // In the order in which they were applied (RFC 9110, section 8.4).
    steps = codings
      .reverse()
      .map((coding) => new DecompressionStream({ br: "brotli", "x-gzip": "gzip" }[coding] ?? coding));
  } catch {
    // If this browser cannot decode it, the page sees it.
    return { ...response, body, headers };
  }
  const stream = body instanceof ReadableStream ? body : new Response(body).body;
  return {
    ...response,
    headers: headers.filter(([name]) => !/^content-(encoding|length)$/.test(name)),
    body: steps.reduce((from, step) => from.pipeThrough(step), stream),
  };
}

async function respond(event, url, path) {
  const { request } = event;
  const [query = ""] = /\?[^#]*/.exec(url.href) ?? [];
  const asked = {
    method: request.method,
    target: path + query,
    https: url.protocol === "https:",
    headers: [...request.headers, ["host", url.host]],
    body: null,
    signal: request.signal,
    event,
  };
  // It is only added on the way to the network.
  if (!request.headers.has("accept-language")) asked.headers.push(["accept-language", navigator.languages.join()]);
  const length = request.headers.get("content-length");
  // Chromium has no `request.body` for a form: it is read whole.
  if (!["GET", "HEAD"].includes(request.method))
    asked.body = request.body ?? new Uint8Array(await request.arrayBuffer());
  asked.length = length === null ? (asked.body?.length ?? null) : +length;
  const { status, headers, body } = decoded(await answer(asked));
  const bodyless = request.method === "HEAD" || !mayHaveBody(status);
  if (bodyless) body?.cancel?.();
  // Chromium would keep one of several values; and framing is not the vlugin's.
  const joined = {};
  for (const [name, value] of headers)
    if (!/^(content-length|transfer-encoding|connection|keep-alive)$/.test(name))
      joined[name] = name in joined ? `${joined[name]}, ${value}` : value;
  return new Response(bodyless ? null : body, { status, headers: joined });
}

// plugins.json is read when the page asks, so that the page learns what is wrong.
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== location.origin) return;
  const path = resolve(url.pathname);
  // A woken worker has no registry yet.
  if (text !== null) return matches(path) && event.respondWith(respond(event, url, path));
  const later = awake().then(
    () => (matches(path) ? respond(event, url, path) : fetch(event.request)),
    () => fetch(event.request),
  );
  event.respondWith(later);
});
addEventListener("message", (event) => {
  const { data, ports: [port] } = event;
  if (data === "valor:claim") return event.waitUntil(clients.claim());
  if (data !== "valor:load") return;
  const offline = (error) => {
    // Without the network, what was kept goes on.
    if (!(error instanceof TypeError && text !== null)) throw error;
  };
  const loaded = awake().then(() => load().catch(offline));
  event.waitUntil(loaded.then(() => port.postMessage(null), (error) => port.postMessage(error.message)));
});
