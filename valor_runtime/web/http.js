// What the server's `dispatch`, `registry`, `id` and `host::allow` do with a request, for the service
// worker. Nothing here has state, or knows of WebAssembly.

/** What a request ends with instead of a response. `kind`: error, panic, refused or timeout. */
export class Fault extends Error {
  constructor(kind, status, message) {
    super(message);
    Object.assign(this, { kind, status });
  }
}

const TITLES = {
  400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
  409: "Conflict", 413: "Payload Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Entity",
  500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
};

/** A response with a JSON body. */
export function json(status, value, type = "application/json") {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return { status, headers: [["content-type", type]], length: body.length, body };
}

/** A refusal (RFC 9457); the keys in the order that the server writes them. */
export function problem(status, detail) {
  const body = { detail, status, title: TITLES[status] ?? "", type: "about:blank" };
  return json(status, body, "application/problem+json");
}

const DOTS = /^(\.|%2e){1,2}$/i;

/** A path without dot segments and backslashes, as `dispatch::path::resolve` has it. */
export function resolve(path) {
  path = path.replaceAll("\\", "/");
  const segments = path.replace(/^\//, "").split("/");
  if (!segments.some((segment) => DOTS.test(segment))) return path;
  const kept = [];
  segments.forEach((segment, index) => {
    const dots = DOTS.test(segment) ? segment.replace(/%2e/gi, ".").length : 0;
    if (dots === 2) kept.pop();
    if (!dots) kept.push(segment);
    else if (index + 1 === segments.length) kept.push("");
  });
  return `/${kept.join("/")}`;
}

/** The mount with the longest prefix of a path, on whole segments, and how long that prefix is. */
export function route(byPrefix, path) {
  for (let at = path.length; at > 0; at = path.lastIndexOf("/", at - 1)) {
    const mount = byPrefix.get(path.slice(0, at));
    if (mount) return [mount, at];
  }
  const root = byPrefix.get("/");
  return root && [root, 0];
}

/** The request's id: the client's where it is fit to be repeated, or a fresh one. */
export function idOf(headers) {
  const id = headers.find(([name]) => name === "x-request-id")?.[1];
  if (id && /^[!-~]{1,128}$/.test(id)) return id;
  return crypto.randomUUID().replaceAll("-", "");
}

export const without = (headers, name) => headers.filter(([n]) => n !== name);

const INSIDE = /^(localhost|.*\.localhost|\[.*\]|(0|10|127)\.[\d.]+|(192\.168|169\.254|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\.[\d.]+)$/;

/**
 * Whether a list of `allow` opens this URL. A wildcard opens no address inside; what a name leads
 * to is the browser's to know, and its own rules for other origins stand behind this one.
 */
export function permits(allow, url) {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return allow.some((entry) => {
    const [, pattern, only] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (pattern === undefined || (only && only !== port)) return false;
    const host = url.hostname.replace(/\.$/, "");
    if (pattern === host) return true;
    if (!pattern.startsWith("*") || INSIDE.test(host)) return false;
    return pattern === "*" || (host.endsWith(pattern.slice(1)) && pattern.startsWith("*."));
  });
}
