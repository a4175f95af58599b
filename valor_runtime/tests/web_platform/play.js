// All vlugins of the web-platform tests import this. It plays one file of tests and answers with the result of each.
// vlugin.rs puts WPT's testharness.js behind this text, as the function `testharness`. Every play calls that anew, so
// that nothing of one file's harness is left for the next.

/** How long a file may take. None takes that long; a test that hangs is reported by name. */
const PATIENCE = 20_000;

/**
 * `file` is the path in WPT, `base` its server, if that is not where this runs. `run` makes a function of the tests and
 * what they include; `names` are those of testharness.js, which are its first arguments.
 */
export async function play(file, base, names, run) {
  const location = new URL(file, base ?? globalThis.location.origin);
  globalThis.GLOBAL = { isWindow: () => false, isWorker: () => true, isShadowRealm: () => false };
  // Without the worker's global scope, testharness.js believes that it runs in a shell.
  const { DOMException, GLOBAL, Promise, clearTimeout, setTimeout } = globalThis;
  const harness = { DOMException, GLOBAL, Promise, clearTimeout, location, setTimeout };
  testharness(harness, location);
  const over = new Promise((resolve) => harness.add_completion_callback((tests, status) => resolve({ tests, status })));
  /** The vlugin's `fetch`, except that a path is one of WPT's. */
  const fetch = (input, ...rest) => {
    const isPath = typeof input === "string" && !URL.canParse(input) && URL.canParse(input, location);
    return globalThis.fetch(isPath ? new URL(input, location) : input, ...rest);
  };
  harness.setup({ explicit_timeout: true });
  try {
    run()(...names.map((name) => harness[name]), globalThis, location, fetch);
  } catch (error) {
    return [{ name: "(the file)", status: 1, message: String(error) }];
  }
  const late = setTimeout(() => harness.timeout(), PATIENCE);
  const { tests, status } = await over;
  clearTimeout(late);
  const told = tests.map(({ name, status, message }) => ({ name, status, message }));
  if (status.status !== 0) told.push({ name: "(the harness)", status: 1, message: status.message ?? "out of time" });
  // A lone surrogate is not UTF-8.
  return told.map(({ name, status, message }) => ({
    name: String(name).toWellFormed(),
    status,
    message: message && String(message).toWellFormed(),
  }));
}
