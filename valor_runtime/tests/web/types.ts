// tsc checks this against valor.d.ts, in .ci/web.

import { start, type Ctx, type Env, type Vlugin, type VluginEvent } from "../../web/valor.js";

const registration: ServiceWorkerRegistration = await start({
  plugins: new URL("plugins.json", location.href),
  scope: "/",
});
// @ts-expect-error: there is no such option.
await start({ plugin: "plugins.json" });

export default {
  async create(env) {
    if (env.name === "") throw new Error(registration.scope);
  },
  async fetch(request: Request, env: Env, ctx: Ctx) {
    ctx.waitUntil(valor.call("other", request));
    // @ts-expect-error: only the vlugin knows the type of its config.
    env.config.greeting;
    return env.call("other", "/path", { method: "POST", body: request.body });
  },
} satisfies Vlugin;

export function listener(event: VluginEvent) {
  event.respondWith(new Response(event.env.name));
  // @ts-expect-error: this is not a Response.
  event.respondWith("text");
}
