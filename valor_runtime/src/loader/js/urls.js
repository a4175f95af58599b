// The URLs of requests: what Deno gives to them, and what a browser would. The end of worker.js, of whose module it is
// a part: so a vlugin's stacks have one file of Valor's to leave out.

/** Whether others than Valor can connect: on a port, not on a Unix socket. */
let isOpen;
/** How a URL begins that Deno gives to a request. */
let scheme;
/** URLs that the URL standard writes just so. Others are brought into its form, as in a browser. */
const PLAIN = new RegExp(
  "^https?://(?![^/]*xn--)(?:(?:[a-z0-9-]+\\.)*[a-z][a-z-]*|(?:(?:\\d|[1-9]\\d|1\\d\\d|2[0-4]\\d|25[0-5])(?:\\.(?=\\d)|(?=[:/]))){4})" +
    "(?::(?!0|80/|443/)(?:[1-5]?\\d{1,4}|6[0-4]\\d{3}))?(?=/)(?![^?]*/(?:\\.|%2[eE]))[\\w\\-.~!$&'()*+,;=:@%/]*(?:\\?[\\w\\-.~!$&()*+,;=:@%/?]*)?$",
);
const getterOf = (name) => uncurry(Object.getOwnPropertyDescriptor(Request.prototype, name).get);
const urlOf = getterOf("url");
const redirectOf = getterOf("redirect");
const bytesOf = uncurry(Request.prototype.bytes);
const { startsWith: starts, indexOf: index, slice: sliced } = String.prototype;
const [startsWith, indexOf, slice] = [starts, index, sliced].map((method) => uncurry(method));
const matches = uncurry(RegExp.prototype.exec);
/** What the path begins with of requests that are Valor's own, or came by HTTPS; with others, "~" follows. */
let own;

/** Whether the path begins with the token. How long that takes says nothing of it to a stranger. */
function begins(raw, path) {
  if (!isOpen) return startsWith(raw, own, path);
  let differences = 0;
  for (let i = 0; i < own.length; i++) differences |= charCodeAt(raw, path + i) ^ charCodeAt(own, i);
  return differences === 0;
}

/** The client's URL, without the token. */
function marked(raw, path) {
  const rest = path + own.length;
  const isPlain = isOpen && raw[rest] === "~";
  return `${isPlain ? "http" : "https"}://${slice(raw, scheme.length, path)}${slice(raw, isPlain ? rest + 1 : rest)}`;
}

function rewritten(incoming, url) {
  const { method, headers, signal } = incoming;
  const body = method === "GET" || method === "HEAD" ? null : incoming.body;
  const request = new Request(url, { method, headers, body, signal });
  // As those of the others are, and those of a service worker's event.
  for (const change of ["append", "delete", "set"]) {
    const value = () => {
      throw new TypeError("the headers of a request cannot be changed; those of `new Request(request)` can");
    };
    Object.defineProperty(request.headers, change, { value });
  }
  return request;
}

/** Has requests of clients, and copies of them, say what a browser's would. */
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
