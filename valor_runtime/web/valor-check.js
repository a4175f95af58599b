// What plugins.json and a definition may say, in the words of the server, whose rules (`definition`) these are. A page
// imports it when the service worker asks (valor.js): it is too large to be in every worker, and JSON.parse keeps no
// positions, so that a fault names its key and its vlugin, and no line.

const ROOT = ["$schema", "plugins"];
const KEYS = [
  "type", "name", "prefix", "strip", "rewrite", "path", "source", "config", "sha256", "allow", "limits", "files",
  "group", "start", "optional",
];
const KINDS = ["native", "wasm", "js", "files"];
const DAY = 86400;

/**
 * What is wrong: of each fault its key, the message, and the vlugin; after a hundred, how many more. `one` is for a
 * definition by itself.
 */
export function faultsOf(value, one) {
  const faults = [];
  let further = 0;
  const fault = (...said) => (faults.length < 100 ? faults.push(said) : further++);
  if (one) definition(value, "", fault);
  else root(value, fault);
  if (further) faults.push(["", `${further} further faults`]);
  return faults;
}

/** The same on one line; null where nothing is wrong. */
export function check(value, one) {
  const line = ([key, message, name]) => {
    const named = typeof name === "string" && !ofName(name) && !message.includes(`\`${name}\``);
    return (key && `${key}: `) + (named ? `vlugin \`${name}\`: ` : "") + message;
  };
  return faultsOf(value, one).map(line).join("; ") || null;
}

function root(value, fault) {
  const wrap = 'write { "plugins": [ … ] }';
  if (kindOf(value) !== "an object") return fault("", `expected an object, found ${kindOf(value)}; ${wrap}`);
  if (!Object.hasOwn(value, "plugins")) fault("", `\`plugins\` is missing; ${wrap}`);
  const taken = { name: new Map(), prefix: new Map() };
  for (const [key, it] of known(value, ROOT, "", fault)) {
    if (key === "$schema") text(it, key, fault);
    else if (!Array.isArray(it)) fault(key, `expected an array, found ${kindOf(it)}`);
    else it.forEach((entry, index) => definition(entry, `plugins[${index}]`, (...said) => fault(...said, entry?.name), taken));
  }
}

function definition(value, key, fault, taken) {
  if (kindOf(value) !== "an object")
    return fault(key, `expected an object such as { "type": "native", "name": "hello" }, found ${kindOf(value)}`);
  const { name, type } = value;
  const kind = KINDS.includes(type) ? type : null;
  const has = (it) => Object.hasOwn(value, it);
  for (const [it, example] of [["type", "native"], ["name", "hello"]])
    if (!has(it)) fault(key, `\`${it}\` is missing; write "${it}": "${example}"`);
  if (kind === "files" && !has("path")) fault(key, '`path` is missing; write the folder to serve, "path": "public"');
  const isNamed = typeof name === "string" && !ofName(name);
  for (const [it, given] of known(value, KEYS, key, fault, ["url"])) {
    const at = join(key, it);
    READ[it]?.(given, at, fault, kind);
    const strange = kind && withoutMeaning(it, kind);
    if (strange) fault(at, strange);
    if (it === "rewrite" && given === true && value.strip === false)
      fault(at, '`rewrite` has no meaning with `"strip": false`: the vlugin sees its prefix; take one of them out');
    if (!taken || !isNamed) continue;
    if (it === "name") {
      const first = isTaken(taken.name, name, key);
      if (first) fault(at, `the name \`${name}\` is taken by ${first}; each has its own`);
      if (!has("prefix")) mounted(`/${name}`, at, "; say another `prefix`", first);
    } else if (it === "prefix" && typeof given === "string" && !ofPrefix(given)) mounted(given, at, "; each has its own");
  }
  // Another name gives another prefix: one fault is enough.
  function mounted(prefix, at, what, isToldAlready) {
    const first = isTaken(taken.prefix, prefix, key);
    if (first && !isToldAlready) fault(at, `the prefix \`${prefix}\` is taken by ${first}${what}`);
  }
}

/** Who has it already; otherwise it is this one's from now on. */
function isTaken(all, what, key) {
  if (all.has(what)) return all.get(what);
  all.set(what, key);
}

/** The values of the known keys, in their order. */
function* known(value, keys, key, fault, later = []) {
  for (const entry of Object.entries(value)) {
    if (keys.includes(entry[0])) yield entry;
    else {
      const hint = later.includes(entry[0])
        ? "this key has no meaning for the types of vlugins that this version runs"
        : `unknown key; ${suggestion(entry[0], keys)}`;
      fault(join(key, shown(entry[0])), hint);
    }
  }
}

const join = (key, name) => (key ? `${key}.${name}` : name);

function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function expected(value, key, what, fault) {
  fault(key, `expected ${what}, found ${/number|boolean/.test(typeof value) ? value : kindOf(value)}`);
}

function text(value, key, fault) {
  if (typeof value === "string") return true;
  expected(value, key, "a string", fault);
}

/** Reads a string that a rule holds for. */
const checked = (rule) => (value, key, fault) => {
  const broken = text(value, key, fault) && rule(value);
  if (broken) fault(key, broken);
};

function boolean(value, key, fault) {
  if (typeof value !== "boolean") expected(value, key, "true or false", fault);
}

/** Words that are used for a type elsewhere. */
const ELSEWHERE = {
  js: ["javascript", "typescript", "ts", "mjs", "deno", "node", "script"],
  wasm: ["webassembly"],
  native: ["rust", "cdylib", "library", "so", "dll", "dylib"],
  files: ["static", "folder", "dir", "directory"],
};

function calledElsewhere(word) {
  const kind = KINDS.find((it) => ELSEWHERE[it]?.includes(word.toLowerCase()));
  return kind && `did you mean \`${kind}\`?`;
}

/** Reads an array of strings that a rule holds for. */
const list = (what, rule) => (value, key, fault) => {
  if (Array.isArray(value)) value.forEach((item, index) => checked(rule)(item, `${key}[${index}]`, fault));
  else expected(value, key, what, fault);
};

const READ = {
  type: checked((word) => {
    if (KINDS.includes(word)) return;
    return word === "wasi"
      ? "vlugins of type `wasi` are not supported by this version of Valor, which runs `native`, `wasm`, `js` and `files` ones; take the entry out"
      : `\`${shown(word)}\` is not a type of vlugin; ${calledElsewhere(word) ?? suggestion(word, KINDS)}`;
  }),
  name: checked(ofName),
  prefix: checked(ofPrefix),
  path: checked(ofPath),
  source: checked(ofPath),
  sha256: checked((digest) => {
    const isHex = /^[\da-f]*$/i.test(digest);
    if (isHex && digest.length === 64) return;
    return `a SHA-256 is 64 hexadecimal digits, as \`sha256sum FILE\` prints them; found ${isHex ? `${digest.length} digits` : `\`${shown(digest)}\``}`;
  }),
  group: checked((group) => ofName(group)?.replace("a name", "the name of a group")),
  start: checked((word) => {
    if (!/^(eager|lazy)$/.test(word)) return `\`${shown(word)}\` is not a way to start; ${suggestion(word, ["eager", "lazy"])}`;
  }),
  allow: list("an array of hosts", (host) => ofHost(host)),
  files: list("an array of files and folders", (path) => {
    const isName = (part) => !/^\.{0,2}$/.test(part) && !/[\\:\p{Cc}]/u.test(part);
    if (path !== "." && !path.replace(/\/$/, "").split("/").every(isName))
      return `\`${shown(path)}\` is no path in the script's folder; write one like data/words.txt, or . for all of it`;
  }),
  strip: boolean,
  rewrite: boolean,
  optional: boolean,
  config(value, key, fault, kind) {
    if (kind !== "files" || value === null) return;
    if (kindOf(value) !== "an object") return expected(value, key, 'an object such as { "index": "index.html" }', fault);
    for (const [it, given] of known(value, Object.keys(CONFIG), key, fault)) checked(CONFIG[it])(given, join(key, it), fault);
  },
  limits(value, key, fault, kind) {
    if (kindOf(value) !== "an object") return expected(value, key, 'an object such as { "timeout": 30 }', fault);
    for (const [it, given] of known(value, Object.keys(LIMITS), key, fault)) {
      const at = join(key, it);
      const [unit, rule] = LIMITS[it];
      const strange = kind && limitWithoutMeaning(it, kind);
      const isOne = unit ? Number.isInteger(given) && given >= 0 : typeof given === "number";
      if (strange) fault(at, strange);
      else if (!isOne) expected(given, at, unit ? `a whole number of ${unit}, at least 1` : "a number of seconds", fault);
      else {
        const broken = rule(given, kind);
        if (broken) fault(at, broken);
      }
    }
  },
};

const within = (least, most, says) => (value) => (value >= least && value <= most ? undefined : `${says}, not ${value}`);
const memory = within(65536, 2 ** 32, `a memory is 65536 to ${2 ** 32} bytes (64 KiB to 4 GiB)`);
const heap = within(2 ** 24, Infinity, `a script has at least ${2 ** 24} bytes (16 MiB) of memory`);

/** By limit: of what it is a whole number, if it is one, and its rule. */
const LIMITS = {
  timeout: [null, within(Number.MIN_VALUE, DAY, `a timeout is above 0 and at most ${DAY} seconds (a day)`)],
  body: ["bytes", within(1, 2 ** 40, `a body's limit is 1 to ${2 ** 40} bytes (1 TiB)`)],
  concurrency: ["requests", within(1, 1e6, "a concurrency is 1 to 1000000 requests")],
  memory: ["bytes", (bytes, kind) => memory(bytes) ?? (kind === "js" ? heap(bytes) : undefined)],
  cpu: [null, within(0.01, DAY, `a run is 0.01 to ${DAY} seconds (a day)`)],
  instances: ["instances", within(1, 1000, "there are 1 to 1000 instances")],
  host_memory: ["bytes", within(2 ** 20, 2 ** 40, `the host's memory for a vlugin is ${2 ** 20} to ${2 ** 40} bytes (1 MiB to 1 TiB)`)],
  fetches: ["fetches", within(1, 1e6, "there are 1 to 1000000 fetches at once")],
  calls: ["calls", within(1, 1e6, "there are 1 to 1000000 calls at once")],
  timers: ["timers", within(1, 1e6, "there are 1 to 1000000 timers at once")],
  compile: ["times the usual work", within(1, 1e6, "compiling takes 1 to 1000000 times the usual work")],
};

/** By limit that not every kind can be held to: the kinds that can. */
const LIMITED = {
  memory: ["wasm", "js"],
  cpu: ["wasm", "js"],
  instances: ["wasm"],
  host_memory: ["native", "wasm", "js"],
  fetches: ["native", "wasm", "js"],
  calls: ["native", "wasm", "js"],
  timers: ["native", "wasm"],
  compile: ["wasm"],
};

function limitWithoutMeaning(key, kind) {
  const kinds = LIMITED[key];
  if (!kinds || kinds.includes(kind)) return;
  const names = kinds.map((it) => `\`${it}\``);
  const which = names.length === 1 ? `type ${names[0]}` : `types ${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `\`${key}\` has no meaning for a \`${kind}\` vlugin: only those of ${which} can be held to it; take it out`;
}

function withoutMeaning(key, kind) {
  if (key === "source" && kind === "js")
    return "`source` has no meaning for a `js` vlugin, which is not built; give its file in `path`";
  if (/^(files|group|start)$/.test(key) && kind !== "js")
    return `\`${key}\` has no meaning for a \`${kind}\` vlugin: only a \`js\` vlugin has its own process; take it out`;
  if (/^(strip|rewrite|source|sha256|allow)$/.test(key) && kind === "files")
    return `\`${key}\` has no meaning for a \`files\` vlugin, which is part of Valor; take it out`;
}

function ofName(name) {
  const length = [...name].length;
  if (!length) return "a name has at least one character";
  if (length > 64) return `a name has at most 64 characters; this one has ${length}`;
  const [bad] = /[^\w.-]/u.exec(name) ?? [];
  if (bad) return `\`${shown(bad)}\` cannot stand in a name; letters, digits, \`_\`, \`.\` and \`-\` can`;
  if (/^[_.]/.test(name)) return `names that begin with \`_\` or \`.\` are Valor's own; begin \`${name}\` otherwise`;
}

function ofPrefix(prefix) {
  if (!prefix.startsWith("/")) return `a prefix begins with \`/\`; write \`/${shown(prefix)}\``;
  if (prefix === "/") return;
  const [bad] = /[?#\\]|[^!-~]/u.exec(prefix) ?? [];
  if (bad > "\x7f") return `\`${shown(bad)}\` stands in a path percent-encoded; write \`${encodeURIComponent(bad)}\` for it`;
  if (bad) return `\`${shown(bad)}\` cannot stand in a prefix, which is a path without a query`;
  if (prefix.endsWith("/")) return `a prefix ends without \`/\`; write \`/${prefix.slice(1).replace(/\/+$/, "")}\``;
  const decoded = prefix.slice(1).toLowerCase();
  const slash = ["%2f", "%5c"].find((it) => decoded.includes(it));
  if (slash) return `\`${slash}\` (an encoded slash) cannot stand in a prefix`;
  for (const segment of decoded.replaceAll("%2e", ".").split("/")) {
    if (!segment) return "a prefix has no empty segment (`//`)";
    if (/^\.\.?$/.test(segment))
      return `a prefix has no \`${segment}\` segment: paths are resolved before routing, so it would never be reached`;
  }
  if (decoded.startsWith("_")) return "prefixes that begin with `/_` are Valor's own; choose another";
}

function ofPath(path) {
  if (!path) return "a path has at least one character; leave the key out otherwise";
  if (path.includes("\0")) return "a path has no NUL character";
}

function ofHost(host) {
  if (!host) return "a host has at least one character";
  const [, scheme, rest] = /^(.*?):\/\/([^/]*)/s.exec(host) ?? [];
  if (rest !== undefined) return `a host stands here without its scheme; write \`${shown(rest)}\` for \`${shown(scheme)}://…\``;
  const [bad] = /[\s\p{Cc}/?#@]/u.exec(host) ?? [];
  if (bad) return `\`${shown(bad)}\` cannot stand in a host; write \`host\`, \`host:port\`, \`*.domain\` or \`*\``;
}

/** One name, not hidden: also behind characters that some file systems leave out. */
const isServed = (name) => /^(?![\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*(\.|$))[^/\\\p{Cc}]+$/u.test(name);

/** The `config` of a `files` vlugin, by key. */
const CONFIG = {
  index: (name) =>
    isServed(name) ? undefined : `\`${shown(name)}\` cannot be served as the page of a folder; write the name of a file, such as index.html`,
  fallback: (path) =>
    path.split("/").every(isServed) ? undefined : `\`${shown(path)}\` is no file that can be served; write its path from the folder, such as index.html`,
  cache_control: (value) =>
    /^[!-~]([ -~]*[!-~])?$/.test(value) ? undefined : `\`${shown(value)}\` is not the value of a header; write one such as max-age=3600`,
};

/** A word from outside as it stands in a message: on one line, and not too long. */
function shown(word) {
  const characters = [...word];
  const plain = { "\0": "\\0", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  const escaped = (c) => plain[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`;
  const start = characters.slice(0, 64).join("").replace(/[\p{C}\p{Zl}\p{Zp}\p{Gr_Ext}\\]|(?! )\p{Zs}/gu, escaped);
  return start + (characters.length > 64 ? "…" : "");
}

/** "did you mean …?", or the known words. */
function suggestion(word, all) {
  const length = [...word].length;
  const near = length > 64 ? [] : all.map((it) => [distance(word.toLowerCase(), it.toLowerCase()), it]);
  const [nearest] = near.filter(([slips]) => slips <= Math.max(1, (length / 3) | 0)).sort(([a], [b]) => a - b);
  if (nearest) return `did you mean \`${nearest[1]}\`?`;
  const listed = all.map((it) => `\`${it}\``);
  return `known are ${listed.slice(0, -1).join(", ")} and ${listed.at(-1)}`;
}

/** Of Damerau and Levenshtein: how many letters are added, left out, replaced, or change places with the next. */
function distance(a, b) {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + !isSame);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}
