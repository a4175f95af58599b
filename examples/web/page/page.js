// The page's own script. It needs only `start` from Valor. After that it sends requests to `/greet` and the other
// vlugins with `fetch`, as to a server.

import { start } from "./valor.js";

const $ = (selector, within = document) => within.querySelector(selector);
const SAMPLES = {
  greet: { about: "Greets in your browser's language, and counts: its state is in this page.", target: "?who=Zoe" },
  alice: { about: "The example with_state, with the config “Alice”.", target: "?who=Zoe" },
  echo: { about: "Sends a body back as it comes in.", target: "/a/b?c=d", body: "There and back again." },
  board: {
    about: "A board of notes in JavaScript: they are kept in your browser's IndexedDB.",
    target: "/",
    body: '{"text": "Water the plants"}',
  },
  events: { about: "Server-sent events, one every 300 ms.", target: "?every=300", stream: true },
};
let [answered, network] = [0, 0];

function count(bytes) {
  answered += 1;
  network += bytes ?? 0;
  $("#answered").textContent = answered;
  $("#network").textContent = `${network} bytes`;
  $("#network").classList.toggle("some", network > 0);
}

/** What came over the network for this request, as the browser reports it. */
async function transferred(url) {
  for (let tries = 0; tries < 500; tries++) {
    const entry = performance.getEntriesByName(url, "resource").at(-1);
    if (entry) {
      performance.clearResourceTimings();
      return entry.transferSize;
    }
    await new Promise((later) => setTimeout(later, 10));
  }
  return null;
}

function element(name, text, kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}

function show(answer, text, facts) {
  const line = element("div", "", "facts");
  for (const [fact, kind] of facts) line.append(element("span", fact, kind));
  answer.replaceChildren(line, element("pre", text));
}

const over = (bytes) =>
  bytes === null
    ? ["the browser does not say what it took"]
    : [`${bytes} bytes over the network`, bytes ? "bad" : "good"];

async function send(answer, target, method, body) {
  const url = new URL(target, location.origin);
  const begun = performance.now();
  try {
    const response = await fetch(url, method === "GET" ? {} : { method, body });
    const text = await response.text();
    const took = performance.now() - begun;
    const bytes = await transferred(url.href);
    count(bytes);
    show(answer, text, [
      [String(response.status), response.ok ? "good" : "bad"],
      [`by ${response.headers.get("x-valor-plugin") ?? "nobody"}`],
      [`${took.toFixed(1)} ms`],
      over(bytes),
    ]);
  } catch (error) {
    show(answer, error.message, [["no answer", "bad"]]);
  }
}

/** Listens, and returns a function that stops it. */
function listen(answer, target) {
  const source = new EventSource(target);
  const lines = [];
  source.onmessage = ({ lastEventId, data }) => {
    lines.unshift(`event ${lastEventId}: ${data}`);
    lines.length = Math.min(lines.length, 4);
    show(answer, lines.join("\n"), [["open", "good"], [`${Number(lastEventId) + 1} events`]]);
  };
  source.onerror = () => show(answer, lines.join("\n"), [["the stream has failed", "bad"]]);
  return async () => {
    source.close();
    // The size is known only at the end.
    const bytes = await transferred(source.url);
    count(bytes);
    show(answer, lines.join("\n"), [["closed"], over(bytes)]);
  };
}

function card({ name, prefix, reason }, isOurs) {
  const made = $("#card").content.cloneNode(true).firstElementChild;
  const sample = SAMPLES[name] ?? { about: "Registered in this page.", target: "?who=Zoe" };
  const [form, answer] = [$("form", made), $(".answer", made)];
  $("h2", made).textContent = name;
  $(".prefix", made).textContent = prefix;
  $(".about", made).textContent = reason ?? sample.about;
  form.target.value = prefix + sample.target;
  form.target.setAttribute("aria-label", `Request for ${name}`);
  const [method, button] = [$("select", form), $("button", form)];
  method.value = sample.body ? "POST" : "GET";
  form.body.value = sample.body ?? "";
  const choose = () => ($(".body", form).hidden = method.value === "GET");
  method.onchange = choose;
  choose();
  let end = null;
  if (sample.stream) {
    method.hidden = true;
    // Nobody wants to hear each of them read aloud.
    answer.ariaLive = "off";
    button.textContent = "Listen";
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    if (!sample.stream) return send(answer, form.target.value, method.value, form.body.value);
    end = end ? void end() : listen(answer, form.target.value);
    button.textContent = end ? "Stop" : "Listen";
  };
  const remove = $(".remove", made);
  remove.hidden = isOurs;
  remove.onclick = async () => {
    await fetch(`/_plugins/${name}`, { method: "DELETE" });
    await list();
  };
  return made;
}

async function list() {
  const { plugins } = await (await fetch("/_plugins")).json();
  const cards = new Map([...$("#cards").children].map((it) => [$("h2", it).textContent, it]));
  // Cards that exist already keep their answers.
  $("#cards").replaceChildren(...plugins.map((it) => cards.get(it.name) ?? card(it, it.name in SAMPLES)));
  $("#vlugins").textContent = plugins.length;
  return plugins;
}

try {
  await start({ plugins: "plugins.json" });
  const plugins = await list();
  $("#state").textContent = "";
  const { file } = plugins.find(({ name }) => name === "alice");
  const definition = { type: "wasm", name: "bob", path: file, config: "Bob" };
  $("#definition").value = JSON.stringify(definition, null, 2);
  $("#register").hidden = false;
  $("#register").onsubmit = async (event) => {
    event.preventDefault();
    const headers = { "content-type": "application/json" };
    const response = await fetch("/_plugins", { method: "POST", headers, body: $("#definition").value });
    const { detail, name, prefix } = await response.json();
    $("#register output").textContent = detail ?? `${name} answers at ${prefix}.`;
    await list();
  };
} catch (error) {
  $("#state").textContent = error.message;
  $("#state").classList.add("wrong");
}
