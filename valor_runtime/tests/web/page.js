// A page's conversations with the vlugins in its service worker. play.py calls `first` and, after a reload, `second`.
// Both return a line for each conversation.

import { start } from "./valor.js";

/** Far longer than any of them takes, in milliseconds. */
const PATIENCE = 60000;
const lines = [];
async function check(name, converse) {
  try {
    await Promise.race([converse(), later(PATIENCE).then(() => Promise.reject(new Error("it does not end")))]);
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

const later = (ms) => new Promise((done) => setTimeout(done, ms));

/** For play.py's own steps. */
Object.assign(globalThis, { get, start });

globalThis.first = async () => {
  await check("start", () => start({ plugins: "plugins.json" }));
  await check("a vlugin answers, with its id and its name", async () => {
    const response = await fetch("/guest/", { headers: { "x-request-id": "abc" } });
    same([response.status, response.headers.get("x-correlation-id")], [200, "abc"]);
    same([response.headers.get("x-valor-plugin"), await response.text()], ["guest", "hello"]);
  });
  await check("what no vlugin matches goes to the network", async () =>
    same(await get("/network"), [200, "from the network"]),
  );
  await check("a longer segment is no match", async () => same(await get("/guests"), [404, "the network has none"]));
  await check("an encoded dot does not leave the prefix", async () => same((await get("/x/%2e%2e/guest/"))[0], 200));
  await check("a body goes and comes", async () => {
    const body = "x".repeat(300000);
    same(await get("/guest/echo", { method: "POST", body }), [200, body]);
  });
  await check("an upload that is over the limit", async () =>
    same((await get("/small/length", { method: "POST", body: "x".repeat(100) }))[0], 413));
  await check("a large upload, not gathered on its way", async () => {
    const before = Number((await get("/guest/received"))[1]);
    let upload;
    const body = new ReadableStream({ start: (controller) => void (upload = controller) });
    const answer = fetch("/guest/length", { method: "POST", body, duplex: "half" });
    const piece = new Uint8Array(1 << 20);
    for (let sent = 1; sent <= 32; sent++) {
      upload.enqueue(piece);
      // The vlugin has it although the upload goes on.
      while (Number((await get("/guest/received"))[1]) - before < sent * piece.length) await later(5);
    }
    upload.close();
    same(await (await answer).text(), String(32 * piece.length));
  });
  await check("an upload without a length that grows over the limit", async () => {
    const pieces = new Blob(["x".repeat(100)]).stream();
    same((await get("/small/length", { method: "POST", body: pieces, duplex: "half" }))[0], 413);
  });
  await check("an upload of 64 MiB from a file", async () => {
    const body = new Blob([new Uint8Array(64 << 20)]);
    same(await get("/guest/length", { method: "POST", body }), [200, String(64 << 20)]);
  });
  await check("a form", async () => {
    const body = new URLSearchParams({ a: "b c" });
    same(await get("/guest/echo", { method: "POST", body }), [200, "a=b+c"]);
  });
  await check("an event source hears events as they come, and its end is the vlugin's", async () => {
    const source = new EventSource("/guest/events?n=5");
    const heard = await new Promise((done, failed) => {
      const events = [];
      source.onerror = () => failed(new Error("the event source fails"));
      source.onmessage = ({ data, lastEventId }) => events.push([lastEventId, data]) === 3 && done(events);
    });
    source.close();
    same(heard, [["0", "tick 0"], ["1", "tick 1"], ["2", "tick 2"]]);
    for (;;) {
      const { plugins } = await (await fetch("/_plugins")).json();
      if (plugins.find(({ name }) => name === "guest").running === 0) break;
      await later(10);
    }
  });
  await check("more requests at once than it may have", async () => {
    const answers = [fetch("/narrow/sleep?n=1500"), fetch("/narrow/sleep?n=1500")];
    const all = await Promise.all(answers);
    same(all.map(({ status }) => status).sort(), [200, 503]);
    const refused = all.find(({ status }) => status === 503);
    same([refused.headers.get("retry-after"), refused.headers.get("x-valor-plugin")], ["1", "narrow"]);
  });
  await check("below the prefix of a vlugin that the server has, everything goes there", async () => {
    same(await get("/guest/files/a.txt"), [200, "a file of the server's"]);
    same(await get("/left_out/x"), [404, "the network has none"]);
    same((await get("/guest/filesystem"))[0], 404);
  });
  await check("an error of its own status, in the server's words", async () => {
    const body = '{"detail":"I am a teapot","status":418,"title":"I\'m a teapot","type":"about:blank"}';
    same(await get("/guest/error"), [418, body]);
  });
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
    const [status, text] = await get(`/guest/fetch?to=${location.origin}/network`);
    same([status, text.includes("may not be reached")], [500, false]);
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
    while (Number((await get("/guest/dropped"))[1]) === before) await later(10);
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
  await check("a refusal reads as the server's does", async () => {
    const response = await fetch("/_plugins/none", { headers: { "x-request-id": "abc" } });
    same(
      [response.status, response.headers.get("content-type"), response.headers.get("x-correlation-id")],
      [404, "application/problem+json", "abc"],
    );
    same(
      await response.text(),
      '{"detail":"no vlugin is named `none`","status":404,"title":"Not Found","type":"about:blank"}',
    );
  });
  await check("what a replacement fails with leaves the old one", async () => {
    const definition = { type: "wasm", name: "small", path: "guest.wasm", config: "fail" };
    same((await post("/_plugins/small", definition, "PUT")).status, 422);
    same(await get("/small/"), [200, "s"]);
  });
  await check("a patch keeps what it does not say", async () => {
    const definition = {
      type: "wasm",
      name: "kept",
      path: "guest.wasm",
      config: "kept",
      prefix: "/deep/kept",
      limits: { timeout: 9 },
      allow: ["a.org"],
      rewrite: true,
    };
    same((await post("/_plugins", definition)).status, 201);
    const patched = await post("/_plugins/kept", { limits: { timeout: 7, body: 5 } }, "PATCH");
    const { prefix, limits, ...shown } = await patched.json();
    same([patched.status, prefix, limits.timeout, limits.body], [200, "/deep/kept", 7, 5]);
    same([limits.memory, limits.instances], [67108864, 1]);
    same([shown.allow, shown.strip, shown.rewrite], [["a.org"], true, true]);
    same(["config" in shown, "files" in shown, "path" in shown], [false, false, false]);
    same(await get("/deep/kept/"), [200, "kept"]);
    same((await post("/_plugins/kept", { config: "new", limits: null }, "PATCH")).status, 200);
    same([await get("/deep/kept/"), (await (await fetch("/_plugins/kept")).json()).limits.timeout], [[200, "new"], 30]);
    same((await post("/_plugins/kept", { name: "other" }, "PATCH")).status, 422);
    same((await post("/_plugins/nobody", {}, "PATCH")).status, 404);
    same((await fetch("/_plugins/kept", { method: "DELETE" })).status, 204);
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
  return lines;
};

globalThis.second = async () => {
  await check("start", () => start({ plugins: "plugins.json" }));
  await check("after a reload, what was registered is there", async () => {
    same(await get("/late/"), [200, "later"]);
    const { plugins } = await (await fetch("/_plugins")).json();
    same(plugins.find(({ name }) => name === "guest").sha256.length, 64);
    same(plugins.map(({ name }) => name).sort(), ["guest", "hurried", "late", "missing", "narrow", "open", "small"]);
  });
  await check("health, also of an optional one that is not there", async () => {
    const { status, unavailable } = await (await fetch("/_health/ready")).json();
    same([status, unavailable], ["ready", { missing: "not installed" }]);
    same(await get("/_health/live"), [200, '{"status":"live"}']);
    same((await get("/missing/"))[0], 503);
    same((await get("/_health/nowhere"))[0], 404);
  });
  return lines;
};
