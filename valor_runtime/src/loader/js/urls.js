// The URLs of requests: what Deno gives them, and what a browser would. The end of worker.js, and part of its module,
// so that a vlugin's stacks have only one file of Valor's to leave out.

/** Whether other programs can connect: on a port, but not on a Unix socket. */
let isOpen;
/** The start of the URL that Deno gives a request. */
let scheme;
/** URLs that are already in the URL standard's form. Others are brought into it, as in a browser. */
const PLAIN = new RegExp(
  "^https?://(?![^/]*xn--)(?:(?:[a-z0-9-]+\\.)*[a-z][a-z-]*|" +
    "(?:(?:\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])(?:\\.(?=\\d)|(?=[:/]))){4})" +
    "(?::(?!0|80/|443/)(?:[1-5]?\\d{1,4}|6[0-4]\\d{3}))?(?=/)(?![^?]*/(?:\\.|%2[eE]))" +
    "[\\w\\-.~!$&'()*+,;=:@%/]*(?:\\?[\\w\\-.~!$&()*+,;=:@%/?]*)?$",
);
const getterOf = (name) => uncurry(Object.getOwnPropertyDescriptor(Request.prototype, name).get);
const urlOf = getterOf("url");
const redirectOf = getterOf("redirect");
const bytesOf = uncurry(Request.prototype.bytes);
const { startsWith: starts, indexOf: index, lastIndexOf: lastIndex, slice: sliced } = String.prototype;
const [startsWith, indexOf, lastIndexOf, slice] = [starts, index, lastIndex, sliced].map((method) => uncurry(method));
const { freeze } = Object;
const matches = uncurry(RegExp.prototype.exec);
/**
 * The token. The path of a request begins with it if the request is Valor's own, or if there is something to say about
 * it. Then follow "+" for HTTPS or "~" for HTTP, the client's address and port, "!" and a number if the body is held
 * back, and ";".
 */
let own;

/** Whether the path begins with the token. The time that it takes reveals nothing about the token. */
function begins(raw, path) {
  if (!isOpen) return startsWith(raw, own, path);
  let differences = 0;
  for (let i = 0; i < own.length; i++) differences |= charCodeAt(raw, path + i) ^ charCodeAt(own, i);
  return differences === 0;
}

/** The client's URL, without the token. */
function marked(raw, path) {
  const rest = path + own.length;
  const target = slice(raw, indexOf(raw, ";", rest) + 1);
  return `${raw[rest] === "~" ? "http" : "https"}://${slice(raw, scheme.length, path)}${target}`;
}

/** What follows the token of a request: the client's address and port, and after "!" the number of its body. */
function saidIn(raw, path) {
  const said = slice(raw, path + own.length + 1, indexOf(raw, ";", path));
  const at = indexOf(said, "!");
  return at < 0 ? [said, null] : [slice(said, 0, at), +slice(said, at + 1)];
}

/** An address and a port for scripts; null for a client without one, or one that its proxy does not name. */
function peerOf(text) {
  if (text === "" || text === "0.0.0.0:0") return null;
  const port = lastIndexOf(text, ":");
  const address = text[0] === "[" ? slice(text, 1, port - 1) : slice(text, 0, port);
  return freeze({ address, port: +slice(text, port + 1) });
}

function rewritten(incoming, url) {
  const { method, headers, signal } = incoming;
  const body = method === "GET" || method === "HEAD" ? null : incoming.body;
  const request = new Request(url, { method, headers, body, signal });
  // Like those of the others, and those of a service worker's event.
  for (const change of ["append", "delete", "set"]) {
    const value = () => {
      throw new TypeError("the headers of a request cannot be changed; those of `new Request(request)` can");
    };
    Object.defineProperty(request.headers, change, { value });
  }
  return request;
}

/** Makes requests of clients, and copies of them, look as in a browser. */
function translate() {
  const getters = {
    get url() {
      const raw = urlOf(this);
      if (!startsWith(raw, scheme)) return raw;
      const path = indexOf(raw, "/", scheme.length);
      if (startsWith(raw, own, path)) return marked(raw, path);
      return isOpen ? raw : `http://${slice(raw, scheme.length)}`;
    },
    get redirect() {
      return redirectOf(this) ?? "follow";
    },
  };
  for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(getters))) {
    Object.defineProperty(Request.prototype, name, { get, enumerable: true, configurable: true });
  }
}
