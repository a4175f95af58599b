// The rules of the server's `dispatch`, `registry`, `id` and `host`. Every other file uses them; nothing here has
// state.

/** The browser's own, for Valor itself: valor-js.js replaces them. */
export const { addEventListener, fetch } = globalThis;

/** What a request ends with instead of a response. `kind`: error, panic, refused or timeout. */
export class Fault extends Error {
  constructor(kind, status, message) {
    super(message);
    Object.assign(this, { kind, status });
  }
}

export function refuse(status, line) {
  throw new Fault("refused", status, line);
}

const TITLES = [
  "Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|Not Acceptable|" +
    "Proxy Authentication Required|Request Timeout|Conflict|Gone|Length Required|Precondition Failed|" +
    "Payload Too Large|URI Too Long|Unsupported Media Type|Requested Range Not Satisfiable|" +
    "Expectation Failed|I'm a teapot|||Misdirected Request|" +
    "Unprocessable Entity|Locked|Failed Dependency|Too Early|Upgrade Required||Precondition Required|" +
    "Too Many Requests||Request Header Fields Too Large||||||||||||||||||||Unavailable For Legal Reasons",
  "Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|Gateway Timeout|HTTP Version Not Supported|" +
    "Variant Also Negotiates|Insufficient Storage|Loop Detected||Not Extended|Network Authentication Required",
].map((titles) => titles.split("|"));

export function json(status, value, type = "application/json") {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return { status, headers: [["content-type", type]], length: body.length, body };
}

/** A refusal (RFC 9457). */
export function problem(status, detail, ...headers) {
  const title = TITLES[(status / 100 - 4) | 0]?.[status % 100] ?? "";
  const response = json(status, { detail, status, title, type: "about:blank" }, "application/problem+json");
  response.headers.push(...headers);
  return response;
}

const DOTS = /^(\.|%2e){1,2}$/i;

/** A path without dot segments and backslashes. */
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

/** The mount with the longest prefix of a path, and its length. */
export function route(byPrefix, path) {
  for (let at = path.length; at > 0; at = path.lastIndexOf("/", at - 1)) {
    const mount = byPrefix.get(path.slice(0, at));
    if (mount) return [mount, at];
  }
  const root = byPrefix.get("/");
  return root && [root, 0];
}

/** The headers that Valor itself sets, as src/in_band.rs names them. */
export const REQUEST_ID = "x-request-id";
export const CORRELATION_ID = "x-correlation-id";
export const PLUGIN = "x-valor-plugin";
export const FORWARDED_PREFIX = "x-forwarded-prefix";
export const CALLER = "x-valor-caller";

export function idOf(headers) {
  const id = headers.find(([name]) => name === REQUEST_ID)?.[1];
  if (id && /^[!-~]{1,128}$/.test(id)) return id;
  return crypto.randomUUID().replaceAll("-", "");
}

/** Statuses after which no body follows: src/status.rs. */
const CONTENT = { 204: false, 205: false, 304: false };

export const mayHaveBody = (status) => CONTENT[status] ?? true;

/** The most bytes that the headers of a response may have, as on a server. */
const MAX_HEAD = 400 << 10;

/** Why a vlugin's response is not a valid answer, if so. A page offers no other protocol. */
export function noAnswer({ status, headers }) {
  const len = headers.reduce((sum, [name, value]) => sum + name.length + value.length + ": \r\n".length, 0);
  if (len > MAX_HEAD)
    return `the headers of its response have ${len} bytes, and ${MAX_HEAD} are sent at most: send a body instead`;
  if (status === 101) return "its response switches protocols, but the request did not offer to";
  if (status < 200)
    return `its response is an interim one (status ${status}), which answers nothing: answer with a status from 200 on`;
}

/** The headers with the prefix before their paths, like src/dispatch/rewrite.rs; a page has no cookies. */
export function below(prefix, headers) {
  if (prefix === "/") return headers;
  const isPath = (name, value) => /^(content-)?location$/i.test(name) && /^\/(?![/\\])/.test(value);
  return headers.map(([name, value]) => [name, isPath(name, value) ? prefix + value : value]);
}

export const without = (headers, name) => headers.filter(([n]) => n !== name);

/** A response with dispatch's headers. */
export function ended(response, id, mount) {
  const headers = without(without(response.headers, CORRELATION_ID), PLUGIN);
  headers.push([CORRELATION_ID, id], ...(mount ? [[PLUGIN, mount.name]] : []));
  return { ...response, headers };
}

const portOf = ({ port, protocol }) => port || (protocol === "https:" ? "443" : "80");

const INSIDE =
  /^(localhost|.*\.localhost|\[.*\]|(0|10|127)\.[\d.]+|(192\.168|169\.254|172\.(1[6-9]|2\d|3[01])|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\.[\d.]+)$/;

/** What a vlugin can be named. */
export const NAME = /^[a-z\d-][\w.-]{0,63}$/i;

/** Refuses what `callees` does not grant. A name that no vlugin can have is nobody's: 404. */
export function mayCall(callees, callee) {
  if (!NAME.test(callee) || !callees || callees.includes("*") || callees.includes(callee)) return;
  refuse(403, `\`${callee}\` may not be called: add "${callee}" to this vlugin's \`callees\``);
}

/** Whether `allow` permits this URL. Only the browser resolves names. */
function permits(allow, url) {
  const port = portOf(url);
  return allow.some((entry) => {
    const [, pattern, only] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
    if (pattern === undefined || (only && only !== port)) return false;
    const host = url.hostname.replace(/\.$/, "");
    if (pattern === host) return true;
    if (!pattern.startsWith("*") || INSIDE.test(host)) return false;
    return pattern === "*" || (host.endsWith(pattern.slice(1)) && pattern.startsWith("*."));
  });
}

/** A fetch within a list of `allow`. */
export async function reach(allow = [], target, ...request) {
  const url = new URL(target);
  const to = `${url.hostname}:${portOf(url)}`;
  if (!/^http/.test(url.protocol) || url.username || url.password)
    throw new Fault("error", 400, `${target} is not a URL to fetch`);
  if (!permits(allow, url)) refuse(403, `${to} may not be reached: add "${to}" to this vlugin's \`allow\``);
  const response = await fetch(new Request(...request), { redirect: "manual", credentials: "omit" });
  if (response.type === "opaqueredirect")
    throw new Fault("error", 502, `${to} answers with a redirect, which a browser does not show`);
  return response;
}
