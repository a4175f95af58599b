// A Hono app, with its router and middleware from npm, in a page and on the server. Run `npm install` in this
// folder first.
//
//   GET /                  the number of hellos by name
//   GET /hello/NAME        says hello; ?in=fr for another language
//   GET /countdown?from=3  server-sent events, one every 100 ms

import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { streamSSE } from "hono/streaming";

const HELLO = { de: "Hallo", en: "Hello", fr: "Bonjour" };
const counts = new Map();

const app = new Hono();

// For every answer: how long it took.
app.use(async (c, next) => {
  const begun = performance.now();
  await next();
  c.header("server-timing", `app;dur=${(performance.now() - begun).toFixed(2)}`);
});

app.get("/", (c) => c.json(Object.fromEntries(counts)));

app.get("/hello/:name", (c) => {
  const name = c.req.param("name");
  const language = c.req.query("in") ?? c.env.config ?? "en";
  const hello = HELLO[language];
  if (!hello) throw new HTTPException(400, { message: `${language} is not one of ${Object.keys(HELLO).join(", ")}` });
  counts.set(name, (counts.get(name) ?? 0) + 1);
  return c.text(`${hello}, ${name}!`);
});

app.get("/countdown", (c) => {
  const from = Number(c.req.query("from") ?? 3);
  if (!(from >= 0 && from <= 1000)) throw new HTTPException(400, { message: "from is a number up to 1000" });
  return streamSSE(c, async (events) => {
    for (let left = from; left >= 0 && !events.aborted; left--) {
      await events.writeSSE({ event: "left", data: String(left) });
      await events.sleep(100);
    }
  });
});

export default app;
