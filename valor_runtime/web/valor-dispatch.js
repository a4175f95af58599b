// A request's way to its vlugin and back, like the server's `dispatch`, and what a vlugin may ask for (`host`).
// `valor-sw.js` calls it; every failure on the way becomes a response.

import { BUILT_IN } from "./valor-admin.js";
import { LEVELS } from "./guest.js";
import { byName, byPrefix, hosts, lackOf, prepare } from "./valor-registry.js";
import {
  CALLER, FORWARDED_PREFIX, Fault, REQUEST_ID, below, ended, idOf, mayCall, mayHaveBody, noAnswer, problem, reach,
  route, without,
} from "./valor-rules.js";

/** The most characters of a vlugin's text in a line of the console. */
const LINE = 2000;

hosts(function hostOf({ name, definition }) {
  return {
    log: (level, target, line) => console[LEVELS[level] ?? "debug"](`valor: ${name}: ${line}`),
    call: async (callee, request) => {
      mayCall(definition.callees, callee);
      request.headers = without(without(request.headers, "upgrade"), CALLER);
      const mount = !callee.startsWith("_") && byName.get(callee);
      const id = idOf(request.headers);
      return mount ? run(mount, request, id) : ended(problem(404, `no vlugin is named \`${callee}\``), id);
    },
    fetch: async ({ method, target, headers, body, signal }) => {
      const bodied = body instanceof ReadableStream || body?.length;
      const request = { method, headers, signal, ...(bodied && { body, duplex: "half" }) };
      const response = await reach(definition.allow, target, target, request);
      // After the browser has decoded the body, these are no longer true.
      const encoded = response.headers.has("content-encoding");
      const kept = [...response.headers].filter(([n]) => !encoded || !/^content-(encoding|length)$/.test(n));
      const length = encoded ? null : response.headers.get("content-length");
      return {
        status: response.status,
        headers: kept,
        length: length && +length,
        body: method === "HEAD" ? null : response.body,
      };
    },
  };
});

/** The response to a request whose path is resolved. */
export async function answer(request) {
  request.headers = without(request.headers, CALLER);
  const id = idOf(request.headers);
  const [path] = request.target.split("?");
  const builtIn = /^\/_(health|plugins)(\/.*)?$/.exec(path);
  if (builtIn) return ended(await BUILT_IN[builtIn[1]](request, builtIn[2] ?? ""), id, { name: `_${builtIn[1]}` });
  const found = route(byPrefix, path);
  if (!found) return ended(problem(404, `no vlugin is mounted at ${path}`), id);
  const [mount, length] = found;
  const { strip = true, rewrite = false } = mount.definition;
  request.headers = without(request.headers, FORWARDED_PREFIX);
  if (strip) {
    const rest = request.target.slice(length);
    if (length) request.headers.push([FORWARDED_PREFIX, path.slice(0, length)]);
    request.target = rest.startsWith("/") ? rest : `/${rest}`;
  }
  const response = await run(mount, request, id);
  return rewrite ? { ...response, headers: below(mount.prefix, response.headers) } : response;
}

async function run(mount, request, id) {
  const { name, limits } = mount;
  if (mount.unavailable)
    return ended(problem(503, `the vlugin \`${name}\` is not available: it is ${lackOf(mount)}`), id, mount);
  const later = (detail) => ended(problem(503, detail, ["retry-after", "1"]), id, mount);
  const large = `the body is over the limit of ${limits.body} bytes`;
  if (mount.running >= limits.concurrency)
    return later(`the vlugin \`${name}\` runs ${mount.running} requests already`);
  if (mount.ready?.account?.isNearlyFull)
    return later(`the vlugin \`${name}\` has too much under way; try again later`);
  if ((request.length ?? 0) > limits.body) return ended(problem(413, large), id, mount);
  let over = false;
  let left = limits.body;
  const count = (piece, controller) => {
    left -= piece.length;
    over ||= left < 0;
    if (over) controller.error(new Error(large));
    else controller.enqueue(piece);
  };
  if (request.body instanceof ReadableStream)
    request.body = request.body.pipeThrough(new TransformStream({ transform: count }));
  request.headers = [...without(request.headers, REQUEST_ID), [REQUEST_ID, id]];
  const stop = new AbortController();
  const late = new Fault("timeout", 504, `no response within ${limits.timeout} s`);
  const timer = setTimeout(() => stop.abort(late), limits.timeout * 1000);
  const gone = () => stop.abort(new Fault("error", 499, "the client has gone"));
  if (request.signal?.aborted) gone();
  request.signal?.addEventListener("abort", gone, { once: true });
  mount.running++;
  let response;
  try {
    const guest = await prepare(mount);
    response = await guest.request({ ...request, signal: stop.signal });
    const unfit = noAnswer(response);
    if (unfit || !mayHaveBody(response.status)) {
      response.body?.cancel?.();
      response.body = null;
    }
    if (unfit) throw new Fault("error", 500, unfit);
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault("error", 502, String(error.message ?? error));
    const what = fault.kind === "panic" ? "panicked" : "failed";
    const message = fault.message.slice(0, LINE);
    console[fault.status < 500 ? "debug" : "error"](
      `valor: the vlugin \`${name}\` ${what}: ${message} (id ${id})${fault.at ?? ""}`,
    );
    const said =
      fault.status < 500 || fault.kind === "away"
        ? message
        : fault.kind === "timeout" && stop.signal.reason === late
          ? `the vlugin \`${name}\` did not answer within ${limits.timeout} s`
          : `the vlugin \`${name}\` failed; the log says why, under id ${id}`;
    response = problem(fault.status, said);
  }
  clearTimeout(timer);
  const done = () => {
    mount.running--;
    request.signal?.removeEventListener("abort", gone);
  };
  if (over) {
    response.body?.cancel?.();
    response = problem(413, large);
  }
  if (response.body instanceof ReadableStream) {
    // Its end is noticed, whatever the cause.
    const { readable, writable } = new TransformStream();
    response.body.pipeTo(writable).then(done, done);
    response.body = readable;
  } else done();
  return ended(response, id, mount);
}
