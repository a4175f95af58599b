// A vlugin in a Worker of a page, started by valor.js because the service worker asked for it. The page passes the port
// on; valor-line.js has the messages.

import { Account } from "./account.js";
import { addEventListener } from "./valor-rules.js";
import { Line } from "./valor-line.js";
import { Script, asks, call, evaluates, faultOf } from "./valor-js.js";

let locked, script, line;

async function start({ url, name, config = null, allow, limits }) {
  const account = new Account(limits);
  // A restarted service worker has another line to the same vlugin.
  asks((callee, request) => line.ask(callee, request), { allow, account });
  evaluates(name);
  globalThis.valor = Object.freeze({
    call: (callee, input, init) => call(callee, input, init, null, account),
    name,
    config,
  });
  try {
    const module = await import(url);
    evaluates("");
    return await Script.create(module, { name, config }, account);
  } catch (error) {
    const fault = faultOf(error);
    // Nothing else says where a syntax error is.
    const told = ({ filename, lineno, colno }) => (fault.message += ` (${filename.split("?")[0]}:${lineno}:${colno})`);
    addEventListener("error", told, { once: true });
    if (error instanceof SyntaxError) reportError(error);
    throw fault;
  }
}

async function answer(what, request) {
  if (what === "request") return (await script).request(request);
  if (what === "start") await (script ??= start(request));
  else await locked;
  return {};
}

addEventListener("message", (event) => {
  if (event.data?.valor !== "start") return;
  event.stopImmediatePropagation();
  const { lock } = event.data;
  locked ??= new Promise((granted) => navigator.locks.request(lock, () => new Promise(() => granted())));
  line = new Line(event.ports[0], answer);
});
