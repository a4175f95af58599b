// The conversations of a page with the vlugins in its service worker. What comes of each goes to
// /report, where play.py reads it.

import { start } from "./valor.js";

const lines = [];
async function check(name, converse) {
  try {
    await converse();
    lines.push({ name, error: null });
  } catch (error) {
    lines.push({ name, error: String(error) });
  }
}

function same(found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a} instead of ${b}`);
}

const get = async (path, options) => {
  const response = await fetch(path, options);
  return [response.status, await response.text()];
};
const post = (path, value, method = "POST") =>
  fetch(path, { method, body: JSON.stringify(value), headers: { "content-type": "application/json" } });

try {
  await start({ plugins: "plugins.json" });
} catch (error) {
  lines.push({ name: "start", error: String(error) });
}
const visit = Number(sessionStorage.visits ?? 0) + 1;
sessionStorage.visits = visit;

if (visit === 1) {
  await check("a vlugin answers, with its id and its name", async () => {
    const response = await fetch("/guest/", { headers: { "x-request-id": "abc" } });
    same([response.status, response.headers.get("x-correlation-id")], [200, "abc"]);
    same([response.headers.get("x-valor-plugin"), await response.text()], ["guest", "hello"]);
  });
  await check("what no vlugin matches goes to the network", async () => same(await get("/network"), [200, "from the network"]));
  await check("a longer segment is no match", async () => same(await get("/guests"), [404, "the network has none"]));
  await check("an encoded dot does not leave the prefix", async () => same((await get("/x/%2e%2e/guest/"))[0], 200));
  await check("a body goes and comes", async () => {
    const body = "x".repeat(300000);
    same(await get("/guest/echo", { method: "POST", body }), [200, body]);
  });
  await check("an upload that is over the limit", async () =>
    same((await get("/small/length", { method: "POST", body: "x".repeat(100) }))[0], 413));
  await check("an error of its own status", async () => same((await get("/guest/error"))[0], 418));
  await check("a panic is 500, and the next request is answered", async () => {
    same((await get("/guest/panic"))[0], 500);
    same((await get("/guest/"))[0], 200);
  });
  await check("a trap is 502, and the next request is answered", async () => {
    const response = await fetch("/guest/deep?n=100000000");
    same([response.status, response.headers.get("content-type")], [502, "application/problem+json"]);
    same((await get("/guest/"))[0], 200);
  });
  await check("100 at once on one instance", async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => get("/guest/sleep?n=50")));
    same(all.filter(([status]) => status === 200).length, 100);
  });
  await check("a time limit is 504", async () => same((await get("/hurried/sleep?n=5000"))[0], 504));
  await check("a fetch that is not allowed", async () => {
    const [status] = await get(`/guest/fetch?to=${location.origin}/network`);
    same(status, 403);
  });
  await check("a stream of the vlugin's, as it is made", async () => {
    const [status, text] = await get("/guest/stream?n=5000");
    same([status, text.length], [200, 5000 * 1000]);
    same((await get("/guest/ticks?n=3"))[1], "tick\ntick\ntick\n");
  });
  await check("who stops reading ends the vlugin's work", async () => {
    const before = Number((await get("/guest/dropped"))[1]);
    const response = await fetch("/guest/stream?n=1000000000");
    const reader = response.body.getReader();
    await reader.read();
    await reader.cancel();
    while (Number((await get("/guest/dropped"))[1]) === before) await new Promise((later) => setTimeout(later, 10));
  });
  await check("a fetch that is allowed", async () =>
    same(await get(`/open/fetch?to=${location.origin}/network`), [200, "from the network"]));
  await check("one vlugin calls another", async () => {
    same(await get("/guest/call?to=small/"), [200, "s"]);
    same((await get("/guest/call?to=_plugins/"))[0], 404);
  });
  await check("a definition that is not one, and a path that is not there", async () => {
    same((await post("/_plugins", { type: "native", name: "n" })).status, 422);
    same((await post("/_plugins", { type: "wasm", name: "n", path: "none.wasm" })).status, 422);
    same((await post("/_plugins", { type: "wasm", name: "guest", path: "guest.wasm" })).status, 409);
    same((await fetch("/_plugins/none")).status, 404);
    same((await fetch("/_plugins", { method: "PATCH" })).headers.get("allow"), "GET, HEAD, POST");
  });
  await check("a file of another hash", async () => {
    const response = await post("/_plugins", { type: "wasm", name: "n", path: "guest.wasm", sha256: "0".repeat(64) });
    same([response.status, (await response.text()).includes("has the SHA-256")], [422, true]);
  });
  await check("registered, replaced and removed while it runs", async () => {
    const definition = { type: "wasm", name: "late", path: "guest.wasm", config: "late" };
    const response = await post("/_plugins", definition);
    same([response.status, response.headers.get("location")], [201, "/_plugins/late"]);
    same(await get("/late/"), [200, "late"]);
    same((await post("/_plugins/late", { ...definition, config: "later" }, "PUT")).status, 200);
    same(await get("/late/"), [200, "later"]);
    same((await post("/_plugins", { ...definition, name: "gone" })).status, 201);
    same((await fetch("/_plugins/gone", { method: "DELETE" })).status, 204);
    same((await get("/gone/"))[0], 404);
  });
} else {
  await check("after a reload, what was registered is there", async () => {
    same(await get("/late/"), [200, "later"]);
    const { plugins } = await (await fetch("/_plugins")).json();
    same(plugins.map(({ name }) => name).sort(), ["guest", "hurried", "late", "open", "small"]);
  });
  await check("health", async () => same((await get("/_health"))[1], '{"status":"ready","unavailable":{}}'));
}
const controlled = Boolean(navigator.serviceWorker.controller);
await fetch("/report", { method: "POST", body: JSON.stringify({ visit, controlled, lines }) });
if (visit === 1) location.reload();
