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
