/** What {@link start} may be told. */
export interface Options {
  /** Where plugins.json is, relative to the page; "plugins.json" by default. */
  plugins?: string;
  /** Where valor-sw.js is; beside valor.js by default. */
  worker?: string | URL;
}

/**
 * Registers Valor's service worker and waits until it answers this page's requests. Rejects with
 * what is wrong and what to do about it.
 */
export function start(options?: Options): Promise<ServiceWorkerRegistration>;
