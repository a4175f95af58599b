// The page that `valor_cli web` writes where a folder has none: it starts Valor, and lists what runs.

import { start } from "./valor.js";

const state = document.querySelector("#state");
try {
  await start();
  const { plugins } = await (await fetch("/_plugins")).json();
  const cell = (child) => {
    const td = document.createElement("td");
    td.append(child);
    return td;
  };
  for (const { name, type, prefix, reason, runs, state } of plugins) {
    const link = document.createElement("a");
    link.href = prefix;
    link.textContent = prefix;
    const row = document.createElement("tr");
    row.append(cell(name), cell(type), cell(link), cell(runs), cell(reason ?? state));
    document.querySelector("tbody").append(row);
  }
  document.querySelector("table").hidden = plugins.length === 0;
  state.textContent = plugins.length
    ? "They answer in this page: no request for these prefixes reaches the network."
    : "plugins.json has no WebAssembly and no JavaScript vlugin, so nothing runs here.";
} catch (error) {
  state.textContent = error.message;
}
