// What a page imports: it registers the service worker and waits until that answers the page's requests, also after a
// reload that bypassed it.

/**
 * Starts Valor in this page. Rejects with what is wrong and what to do about it.
 * @param {{ plugins?: string | URL, worker?: string | URL, scope?: string | URL }} options
 */
export async function start({
  plugins = "plugins.json",
  worker = new URL("valor-sw.js", import.meta.url),
  scope,
} = {}) {
  const container = navigator.serviceWorker;
  if (!container)
    throw new Error("valor: there are no service workers here: serve the page over https, or from localhost");
  const url = new URL(worker, document.baseURI);
  url.searchParams.set("plugins", new URL(plugins, document.baseURI).href);
  // What the worker imports is fetched again too: all of it must be of one version.
  const registration = await container.register(url, { type: "module", updateViaCache: "none", scope });
  container.addEventListener("message", attend);
  container.startMessages();
  if (!location.href.startsWith(registration.scope))
    throw new Error(
      `valor: the service worker answers pages below ${registration.scope}, and this one is not: put valor-sw.js ` +
        "beside the page or above it, or serve it with Service-Worker-Allowed and say start({ scope })",
    );
  const active = await activated(registration, url.href);
  await tell(active, "valor:load");
  if (!container.controller) {
    // After a hard reload a page has no controller until the worker claims it again.
    await new Promise((resolve) => {
      container.addEventListener("controllerchange", resolve, { once: true });
      active.postMessage("valor:claim");
    });
  }
  return registration;
}

/** The Workers of vlugins that were registered while the page runs, by their locks. */
const workers = new Map();
// A page that one may come back to is frozen, and so are its Workers: nobody should wait for them.
addEventListener("pagehide", () => [...workers.keys()].forEach(end));

function end(lock) {
  workers.get(lock)?.terminate();
  workers.delete(lock);
}

/** What the service worker asks of a page, since it cannot create a Worker. */
function attend({ data, ports: [port] }) {
  if (data === "valor:who") return port.postMessage(null);
  const { valor, lock, worker, name } = data ?? {};
  if (valor === "check") {
    const said = import(worker).then(({ check }) => check(data.text, data.one, data.value));
    // If it cannot be loaded, only the service worker itself checks definitions.
    said.catch(() => null).then((line) => port.postMessage(line));
  }
  if (valor === "start") {
    if (!workers.has(lock)) workers.set(lock, new Worker(worker, { type: "module", name }));
    workers.get(lock).postMessage(data, [port]);
  } else if (valor === "end") end(lock);
}

function activated({ active, waiting, installing }, url) {
  // A newer version of it takes over once everything on this one has ended; that may include a stream.
  const worker = [active, waiting, installing].find((worker) => worker?.scriptURL === url);
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker.state === "activated") resolve(worker);
      if (worker.state === "redundant")
        reject(new Error("valor: the service worker could not be installed; its console says why"));
    };
    worker.addEventListener("statechange", look);
    look();
  });
}

function tell(worker, what) {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => (data ? reject(new Error(`valor: ${data}`)) : resolve());
    worker.postMessage(what, [port2]);
  });
}
