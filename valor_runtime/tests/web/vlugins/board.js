// A vlugin of the module form, for scripts.py. Each path does one thing that a vlugin may do.

let counted = 0;
let cancelled = 0;
let left = 0;
let received = 0;
const waited = [];
const later = (ms) => new Promise((done) => setTimeout(done, ms));

const PATHS = {
  "/": (_, { env, made }) => new Response(`${made} ${JSON.stringify(env.config)}`),
  "/count": () => new Response(String(++counted)),
  "/request": async (request) =>
    Response.json({
      method: request.method,
      url: request.url,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
    }),
  "/echo": (request) =>
    new Response(request.body, { headers: { "content-type": request.headers.get("content-type") ?? "" } }),
  "/length": async (request) => {
    let length = 0;
    for await (const piece of request.body) received = length += piece.length;
    return new Response(String(length));
  },
  "/received": () => new Response(String(received)),
  "/stream": () => {
    const pull = (controller) => controller.enqueue(new Uint8Array(1000));
    return new Response(new ReadableStream({ pull, cancel: () => void cancelled++ }));
  },
  "/events": () => {
    let sent = 0;
    const pull = async (controller) => {
      await later(20);
      controller.enqueue(new TextEncoder().encode(`id: ${sent}\ndata: tick ${sent++}\n\n`));
    };
    const body = new ReadableStream({ pull, cancel: () => void cancelled++ });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
  "/cancelled": () => new Response(String(cancelled)),
  "/wait": (request) => {
    request.signal.addEventListener("abort", () => left++);
    return later(60000);
  },
  "/giveup": async (_, { to }) => {
    const { name } = await valor.call(to, "/wait", { signal: AbortSignal.timeout(100) }).catch((error) => error);
    return new Response(name);
  },
  "/left": () => new Response(String(left)),
  "/spin": () => {
    for (;;);
  },
  "/after": (_, { ctx }) => {
    ctx.waitUntil(later(50).then(() => waited.push("done")));
    return new Response(String(waited.length));
  },
  "/throw": () => {
    throw new Error("on purpose");
  },
  "/teapot": async () => {
    throw Object.assign(new Error("short and stout"), { status: 418 });
  },
  "/word": () => Promise.reject("a word"),
  "/nothing": () => undefined,
  "/fetch": (_, { to }) => fetch(to),
  "/late": async (_, { to }) => {
    await later(1);
    return (await fetch(to)).clone();
  },
  "/then": (_, { to }) => Promise.resolve(to).then(fetch),
  "/caught": async (_, { to }) => {
    const { name, status, message } = await fetch(to).catch((error) => error);
    return Response.json({ name, status, message });
  },
  "/call": (request, { to }) =>
    valor.call(to.split("/")[1], `/${to.split("/").slice(2).join("/")}`, {
      method: request.method,
      body: request.body,
    }),
  "/many": async (_, { env, to }) => {
    // Three of each at once, and none is answered.
    const soon = () => ({ signal: AbortSignal.timeout(300) });
    const asks = [
      () => fetch("/hang", soon()),
      () => valor.call(to, "/wait", soon()),
      () => env.call(to, "/wait", soon()),
    ];
    const settled = [];
    for (const ask of asks) settled.push(...(await Promise.allSettled([ask(), ask(), ask()])));
    return Response.json(settled.map(({ reason }) => reason.status ?? reason.name));
  },
  "/env": (request, { env, to }) =>
    env.call(to, new Request("http://x/request?a=b", { headers: { cookie: "c=d", "x-request-id": "passed" } })),
  "/cookies": () =>
    new Response("", {
      headers: [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
      ],
    }),
  "/baked": async () => Response.json((await valor.call("board", "/cookies")).headers.getSetCookie()),
  "/frozen": (_, { env }) => new Response(String(Object.isFrozen(env))),
  "/immutable": (request) => {
    const copy = new Request(request);
    copy.headers.set("x-mine", "of the copy");
    try {
      request.headers.set("x-mine", "changed");
    } catch (error) {
      return new Response(`${error.name} ${request.headers.get("x-mine")}, ${copy.headers.get("x-mine")}`);
    }
    return new Response("changed");
  },
};

export default {
  async create(env) {
    await later(1);
    if (env.config === "fail") throw new Error("no board today");
    this.made = env.name;
  },
  fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    const path = PATHS[pathname];
    if (!path) return new Response("no such path", { status: 404 });
    return path(request, { env, ctx, made: this.made, to: searchParams.get("to") });
  },
};
