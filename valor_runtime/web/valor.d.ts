/** What {@link start} may be told. Relative addresses are relative to the page. */
export interface Options {
  /** Where plugins.json is; "plugins.json" by default. */
  plugins?: string | URL;
  /** Where valor-sw.js is; beside valor.js by default. */
  worker?: string | URL;
  /**
   * The pages that the worker answers: those below this address. By default the folder of
   * valor-sw.js; for one above that, its server has to send Service-Worker-Allowed.
   */
  scope?: string | URL;
}

/**
 * Registers Valor's service worker, has it load plugins.json, and waits until it answers this
 * page's requests. Rejects with what is wrong and what to do about it.
 */
export function start(options?: Options): Promise<ServiceWorkerRegistration>;

/** What a JavaScript vlugin knows about itself. */
export interface Env {
  /** `config` of its definition; null if there is none. */
  readonly config: unknown;
  readonly name: string;
  /** Asks another vlugin, of any kind, by its name. The address is as that one sees it, without a prefix. */
  readonly call: (name: string, request: Request | URL | string, init?: RequestInit) => Promise<Response>;
}

/** What goes with one request. */
export interface Ctx {
  /** Work that goes on after the response. */
  waitUntil(promise: Promise<unknown>): void;
  passThroughOnException(): void;
  /** Where the client is, a trusted proxy's word included; null in a page, and for a client without an address. */
  readonly peer: Peer | null;
}

/** A client's address, such as "192.0.2.7" or "2001:db8::7", and its port. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** What a JavaScript vlugin exports by default: `export default { … } satisfies Vlugin`. */
export interface Vlugin {
  /** Awaited before the first request; what it throws fails the load. */
  create?(env: Env): unknown;
  fetch(request: Request, env: Env, ctx: Ctx): Response | Promise<Response>;
}

/** What a listener of the other form gets: `addEventListener("fetch", (event) => …)`. */
export interface VluginEvent extends Event {
  readonly request: Request;
  readonly env: Env;
  readonly peer: Peer | null;
  respondWith(response: Response | Promise<Response>): void;
  waitUntil(promise: Promise<unknown>): void;
}

declare global {
  /** In the service worker several vlugins share one realm: there, name and config are in `env` alone. */
  var valor: { readonly call: Env["call"]; readonly name?: string; readonly config?: unknown };
}
