// A vlugin of the other form, for scripts.py: three listeners, and a name that others use too.

let counted = 0;

addEventListener("fetch", (event) => {
  if (event.request.url.endsWith("/first")) event.respondWith(new Response("the first"));
});
self.addEventListener("fetch", (event) => {
  if (event.request.url.endsWith("/throw")) throw Object.assign(new Error("out"), { status: 403 });
  if (event.request.url.endsWith("/config")) event.respondWith(Promise.resolve(Response.json(event.env.config)));
});
globalThis.addEventListener("fetch", {
  handleEvent(event) {
    if (event.request.url.endsWith("/late")) addEventListener("fetch", () => {});
    if (event.request.url.endsWith("/count")) event.respondWith(new Response(`${event.env.name} ${++counted}`));
  },
});
