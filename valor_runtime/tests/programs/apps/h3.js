// h3, version 2: handlers over web requests.
import {
  createError,
  getQuery,
  getRouterParam,
  H3,
  HTTPError,
  readBody,
  redirect,
  setCookie,
  getCookie,
  withBase,
  onError,
} from "h3";

const app = new H3();
app.use((event) => {
  event.res.headers.set("x-by", "h3");
});
app.get("/", () => "h3");
app.get("/hello/:name", (event) => ({ hello: getRouterParam(event, "name"), query: getQuery(event) }));
app.post("/body", async (event) => ({ body: await readBody(event) }));
app.get("/empty", () => null);
app.get("/error", () => {
  throw new HTTPError({ status: 409, statusText: "Conflict", message: "two at once", data: { at: 2 } });
});
app.get("/go", () => redirect("/hello/there", 307));
app.get("/cookie", (event) => ({ seen: getCookie(event, "taste") ?? null }));
app.get("/stream", () => new ReadableStream({
  start(controller) {
    for (const piece of ["one", "two", "three"]) controller.enqueue(new TextEncoder().encode(piece));
    controller.close();
  },
}));
app.mount("/nested", new H3().get("/deep/**", (event) => `deep: ${event.url.pathname}`));

export default { fetch: (request) => app.fetch(request) };
