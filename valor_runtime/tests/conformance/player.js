// Makes the runner's requests with this page's fetch, and reports the results. It judges nothing; chromium.rs has the
// other end.

import { start } from "./valor.js";

const control = `http://${location.search.slice(1)}`;
const tell = (value) => fetch(`${control}/done`, { method: "POST", body: JSON.stringify(value) });

async function ask({ method, to, headers, body, streamed, follow, leave, meanwhile }) {
  const begun = performance.now();
  const outcome = { status: "", headers: {}, body: "", broken: null, failed: null, url: "", meanwhile: null };
  const inBetween = async () => {
    const other = meanwhile;
    meanwhile = null;
    if (other) outcome.meanwhile = await ask(other);
  };
  const stop = new AbortController();
  const options = { method, headers, redirect: follow ? "follow" : "manual", signal: stop.signal };
  const pieces = body?.map((piece) => Uint8Array.fromBase64(piece));
  if (streamed) {
    options.duplex = "half";
    options.body = new ReadableStream({
      async pull(controller) {
        const piece = pieces.shift();
        if (!piece) return controller.close();
        controller.enqueue(piece);
        await inBetween();
      },
    }, { highWaterMark: 0 });
  } else if (pieces) options.body = pieces[0] ?? new Uint8Array();
  const parts = [];
  try {
    const answering = fetch(new URL(location.origin + to), options);
    if (leave && meanwhile) {
      answering.catch(() => {});
      await inBetween();
      stop.abort();
    }
    const response = await answering;
    outcome.status = response.type === "opaqueredirect" ? "redirect" : String(response.status);
    outcome.headers = Object.fromEntries(response.headers);
    const { pathname, search } = new URL(response.url);
    outcome.url = pathname + search;
    const reader = response.body?.getReader();
    try {
      for (let next; reader && !(next = await reader.read()).done;) {
        parts.push(next.value);
        if (leave) {
          stop.abort();
          break;
        }
        await inBetween();
      }
    } catch (error) {
      outcome.broken = String(error);
    }
  } catch (error) {
    outcome.failed = String(error);
  }
  outcome.ms = Math.ceil(performance.now() - begun);
  outcome.body = new Uint8Array(await new Blob(parts).arrayBuffer()).toBase64();
  return outcome;
}

try {
  const worker = new URL(`player-sw.js?control=${control}`, location);
  await start({ plugins: "plugins.json", worker });
  await tell("started");
  for (;;) {
    const asks = await (await fetch(`${control}/next`)).json();
    await tell(await Promise.all(asks.map(ask)));
  }
} catch (error) {
  await tell(String(error));
}
