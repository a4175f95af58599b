// Hono's router and its middleware: groups, parameters, validation, JWT, basic auth, cookies, streams and server-sent
// events.
import { Hono } from "hono";
import { basicAuth } from "hono/basic-auth";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { etag } from "hono/etag";
import { HTTPException } from "hono/http-exception";
import { jwt } from "hono/jwt";
import { poweredBy } from "hono/powered-by";
import { secureHeaders } from "hono/secure-headers";
import { stream, streamSSE, streamText } from "hono/streaming";
import { trimTrailingSlash } from "hono/trailing-slash";

const app = new Hono();
app.use(poweredBy());
app.use(trimTrailingSlash());
app.use("/api/*", cors({ origin: "https://example.org", allowMethods: ["GET", "POST"], maxAge: 600 }), secureHeaders());
app.use("/auth/*", jwt({ secret: "it-is-so-secret", alg: "HS256" }));
app.use("/admin/*", basicAuth({ username: "ada", password: "lovelace" }));
app.use("/static/*", etag());

app.get("/", (c) => c.text("hono"));
app.get("/posts/:id{[0-9]+}", (c) =>
  c.json({ id: c.req.param("id"), page: c.req.query("page") ?? null, tags: c.req.queries("tag") ?? [] }),
);
app.get("/wild/*", (c) => c.text(c.req.path));
app.get("/api/data", (c) => c.json({ ok: true }));
app.get("/auth/who", (c) => c.json(c.get("jwtPayload")));
app.get("/admin/room", (c) => c.html("<h1>room</h1>"));
app.get("/static/text", (c) => c.text("the same text, each time"));
app.get("/away", (c) => c.redirect("/posts/1", 302));
app.post("/json", async (c) => c.json({ got: await c.req.json() }, 201));
app.post("/form", async (c) => {
  const form = await c.req.formData();
  const file = form.get("file");
  return c.json({
    name: form.get("name"),
    file: typeof file === "string" ? file : { name: file.name, type: file.type, text: await file.text() },
  });
});
app.post("/urlencoded", async (c) => c.json(await c.req.parseBody()));
app.post("/small", bodyLimit({ maxSize: 10, onError: (c) => c.text("too much", 413) }), async (c) =>
  c.text(await c.req.text()),
);
app.get("/header", (c) => {
  c.header("x-one", "1");
  return c.body("with headers");
});
app.get("/stream", (c) => stream(c, async (out) => {
  for (let at = 0; at < 5; at++) {
    await out.write(new Uint8Array(1000).fill(at));
    await out.sleep(2);
  }
}));
app.get("/lines", (c) => streamText(c, async (out) => {
  for (let at = 0; at < 3; at++) await out.writeln(`line ${at}`);
}));
app.get("/sse", (c) => streamSSE(c, async (out) => {
  for (let id = 0; id < 3; id++) await out.writeSSE({ id: String(id), event: "tick", data: `number ${id}` });
}));
app.get("/teapot", () => {
  throw new HTTPException(418, { message: "short and stout" });
});
app.get("/throw", () => {
  throw new Error("caught by Hono");
});
app.onError((error, c) =>
  error instanceof HTTPException ? error.getResponse() : c.json({ error: error.message }, 500),
);
app.notFound((c) => c.json({ missing: c.req.path }, 404));

export default app;
