// A script whose bytes were checked: it is loaded from the very text that Valor has checked, under the URL of its file,
// and Deno reads no file for it. A part of worker.js.
//
// Anything else that it would import was not checked and is refused: other files, packages, and Workers that begin with
// a file, even its own. Code that the text itself creates (`data:`, `blob:`) is as good as the text.

import { isBuiltin, registerHooks, stripTypeScriptTypes } from "node:module";

const MAP = "//# sourceMappingURL=data:application/json;base64,";
const { fromBase64 } = Uint8Array;
const toBase64 = uncurry(Bytes.prototype.toBase64);
const parseUrl = URL.parse.bind(URL);
const protocolOf = uncurry(Object.getOwnPropertyDescriptor(URL.prototype, "protocol").get);

/** Loads this file from this text, and nothing from any other file. */
function pin(file, text) {
  const refuse = (what) => {
    const error = new TypeError(
      `${what} is not loaded: a script that is checked (\`sha256\`, a signature) or from a package is ${shown(file)} ` +
        "alone; put everything into one package",
    );
    error.name = "";
    throw error;
  };
  const source = /\.m?ts$/.test(file) ? typeless(file, text) : text;
  registerHooks({
    resolve(specifier, context, next) {
      const isOwn = specifier === file || startsWith(specifier, "data:") || startsWith(specifier, "blob:");
      // Its Workers are files, too.
      const isWorkers = specifier === "node:worker_threads" || specifier === "worker_threads";
      if (!isOwn && (isWorkers || !isBuiltin(specifier))) refuse(`\`${specifier}\``);
      return next(specifier, context);
    },
    load(url, context, next) {
      if (url === file) return { __proto__: null, format: "module", source, shortCircuit: true };
      if (startsWith(url, "file:")) refuse(`\`${url}\``);
      return next(url, context);
    },
  });
  const { Worker: NativeWorker } = globalThis;
  globalThis.Worker = class Worker extends NativeWorker {
    constructor(specifier, options) {
      const url = parseUrl(specifier, file);
      if (url && protocolOf(url) === "file:") refuse(`the Worker \`${shown(url.href)}\``);
      super(specifier, options);
    }
  };
}

/** TypeScript without its types. The rest keeps its positions; with enums and the like, a map has the positions. */
function typeless(file, text) {
  try {
    return stripTypeScriptTypes(text, { mode: "strip" });
  } catch {
    // It contains what becomes code.
  }
  let source;
  try {
    source = stripTypeScriptTypes(text, { mode: "transform", sourceMap: true });
  } catch (error) {
    error.message = `${error.message}; \`deno check\` shows where`;
    throw error;
  }
  const [code, map] = source.split(MAP);
  if (map === undefined) return source;
  const told = JSON.parse(decodeUtf8(fromBase64(map)));
  told.sources = [file];
  return `${code}${MAP}${toBase64(encodeUtf8(JSON.stringify(told)))}`;
}
