// What plugins.json and a definition may contain, in the server's words; the rules are the server's (`definition`). The
// rows are in valor-keys.js. The rules that need code are here, under the names that the rows use. A page imports this
// when the service worker asks (valor.js): it is too large for every worker. A fault names its key and its vlugin, but
// no line.

// `?valor`: not for the registry, which may wait for it.
import { DEFINITION, EXAMPLE, FILE, LATER } from "./valor-keys.js?valor";

const KINDS = DEFINITION.find(({ name }) => name === "type").words.known.map(([word]) => word);

/**
 * The faults of a text of JSON, each with its key, its message and its vlugin; after a hundred, their number. `one` is
 * for a single definition, `value` for the parsed text.
 */
export function faultsOf(text, one, value = JSON.parse(text)) {
  const faults = [];
  let further = 0;
  const fault = (...said) => (faults.length < 100 ? faults.push(said) : further++);
  const beyond = unsaid(text, one ? null : value?.plugins, fault);
  if (beyond) return [["", beyond]];
  if (one) definition(value, "", fault);
  else root(value, fault);
  if (further) faults.push(["", `${further} further faults`]);
  return faults;
}

/** The same on one line; null if nothing is wrong. */
export function check(text, one, value) {
  const line = ([key, message, name]) => {
    const named = typeof name === "string" && !ofName(name) && !message.includes(`\`${name}\``);
    return (key && `${key}: `) + (named ? `vlugin \`${name}\`: ` : "") + message;
  };
  return faultsOf(text, one, value).map(line).join("; ") || null;
}

/**
 * What JSON.parse does not report: keys that are there twice in one object. Returns JSON that is more than the server's
 * parser takes.
 */
function unsaid(text, plugins, fault) {
  const levels = [];
  const tokens = /["{}[\],]|-?\d[\d.eE+-]*/g;
  for (let found; (found = tokens.exec(text)); ) {
    const [token] = found;
    const level = levels.at(-1);
    if (/[{[]/.test(token)) {
      levels.push(token === "{" ? { keys: new Set(), isNext: true } : { at: 0 });
      if (levels.length > 127) return "arrays and objects are nested more than 127 deep; remove levels";
    } else if (/[}\]]/.test(token)) levels.pop();
    else if (token === ",") level.keys ? (level.isNext = true) : level.at++;
    else if (token !== '"') {
      if (!isFinite(token))
        return `\`${shown(token)}\` is out of range: a number is at most about 1.8e308 in either direction`;
    } else {
      let end = found.index;
      let slashes = 0;
      do {
        end = text.indexOf(token, end + 1);
        for (slashes = 0; text[end - 1 - slashes] === "\\"; slashes++);
      } while (slashes % 2);
      tokens.lastIndex = end + 1;
      const string = JSON.parse(text.slice(found.index, end + 1));
      if (/\p{Cs}/u.test(string))
        return "an escape such as `\\ud800` is half of a character; write the character itself";
      if (!level?.isNext) continue;
      level.isNext = false;
      level.at = string;
      const path = () => levels.reduce((path, { keys, at }) => (keys ? join(path, shown(at)) : `${path}[${at}]`), "");
      if (level.keys.has(string))
        fault(path(), "this key is there already; take one of them out", plugins?.[levels[1]?.at]?.name);
      level.keys.add(string);
    }
  }
}

function root(value, fault) {
  if (kindOf(value) !== "an object")
    return fault("", `expected an object, found ${kindOf(value)}; write { "plugins": [ … ] }`);
  const taken = { name: new Map(), prefix: new Map() };
  for (const [{ definitions }, it, key] of rows(value, FILE, "", fault)) {
    if (!definitions) continue;
    if (!Array.isArray(it)) fault(key, `expected an array, found ${kindOf(it)}`);
    else
      it.forEach((entry, index) =>
        definition(entry, `plugins[${index}]`, (...said) => fault(...said, entry?.name), taken),
      );
  }
}

function definition(value, key, fault, taken) {
  if (kindOf(value) !== "an object") return fault(key, `expected an object such as ${EXAMPLE}, found ${kindOf(value)}`);
  const { name, type } = value;
  const isNamed = typeof name === "string" && !ofName(name);
  if (type === "wasm" && value.instance === "request")
    fault(
      join(key, "instance"),
      'a page does not begin a module anew with each request (`"instance": "request"`): write ' +
        '`"instance": "shared"`, or leave the vlugin to a server',
    );
  for (const [row, given, at] of rows(value, DEFINITION, key, fault, KINDS.find((it) => it === type), LATER)) {
    if (!taken || !isNamed) continue;
    if (row.name === "name") {
      const first = isTaken(taken.name, name, key);
      if (first) fault(at, `the name \`${name}\` is taken by ${first}; each has its own`);
      if (!Object.hasOwn(value, "prefix")) mounted(`/${name}`, at, "; say another `prefix`", first);
    } else if (row.name === "prefix" && typeof given === "string" && !ofPrefix(given))
      mounted(given, at, "; each has its own");
  }
  // Another name gives another prefix: one fault is enough.
  function mounted(prefix, at, what, isToldAlready) {
    const first = isTaken(taken.prefix, prefix, key);
    if (first && !isToldAlready) fault(at, `the prefix \`${prefix}\` is taken by ${first}${what}`);
  }
}

/** Who has it already; otherwise it now belongs to this one. */
function isTaken(all, what, key) {
  if (all.has(what)) return all.get(what);
  all.set(what, key);
}

/** Checks an object against its rows; returns those that it has, each with its value and position. */
function* rows(value, keys, key, fault, kind, later = []) {
  for (const { name, needed } of keys)
    if (needed && !Object.hasOwn(value, name) && (needed.kinds?.includes(kind) ?? true))
      fault(key, `\`${name}\` is missing; write ${needed.write}`);
  for (const [name, given] of Object.entries(value)) {
    const row = keys.find((it) => it.name === name);
    if (!row) {
      const hint = later.includes(name)
        ? "this key has no meaning for the types of vlugins that this version runs"
        : `unknown key; ${suggestion(name, keys.map((it) => it.name))}`;
      fault(join(key, shown(name)), hint);
      continue;
    }
    const at = join(key, name);
    const { limit, against, only, why, without } = row;
    const reason = without?.[kind] ?? (kind && only && !only.includes(kind) ? why : "");
    // A kind without a limit has no range for it either.
    if (!reason || !limit) Object.keys(row).forEach((shape) => SHAPES[shape]?.(given, at, fault, row[shape], kind));
    if (against && given === true && value[against[0]] === false) fault(at, against[1]);
    if (reason) fault(at, `\`${name}\` has no meaning for a \`${kind}\` vlugin${reason}`);
    yield [row, given, at];
  }
}

const join = (key, name) => (key ? `${key}.${name}` : name);

function kindOf(value) {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function expected(value, key, what, fault, remedy = "") {
  fault(key, `expected ${what}, found ${/number|boolean/.test(typeof value) ? value : kindOf(value)}${remedy}`);
}

const UNITS = {
  bytes: { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, KB: 1e3, kB: 1e3, MB: 1e6, GB: 1e9 },
  seconds: { s: 1, m: 60, min: 60, h: 3600 },
};

/** What to write for a text such as "256MiB" or "5s". */
function meant(value, unit, most) {
  const [, number, name] = (typeof value === "string" && /^(\d+)\s*(\w*)$/.exec(value.trim())) || [];
  const meant = number * (name ? UNITS[unit]?.[name] : 1);
  return meant > 0 && meant <= most ? `; write ${meant}` : "";
}

/** Checks a string against a rule. */
function checked(value, key, fault, rule) {
  if (typeof value !== "string") return expected(value, key, "a string", fault);
  const broken = value.length > 4096 ? "a text has at most 4096 characters" : rule(value);
  if (broken) fault(key, broken);
}

function object(value, key, fault, { example, keys }, kind) {
  if (kindOf(value) !== "an object") return expected(value, key, `an object such as ${example}`, fault);
  // A generator checks while it runs.
  for (const _ of rows(value, keys, key, fault, kind));
}

/** The shape of a value, by the entry of its row for that shape. */
const SHAPES = {
  text: (value, key, fault, rule) => checked(value, key, fault, RULES[rule]),
  texts(value, key, fault, [what, rule]) {
    if (!Array.isArray(value)) return expected(value, key, what, fault);
    value.forEach((item, index) => checked(item, `${key}[${index}]`, fault, RULES[rule]));
  },
  words(value, key, fault, { what, known, later }) {
    const words = known.map(([word]) => word);
    checked(value, key, fault, (word) => {
      if (words.includes(word)) return;
      if (later.includes(word))
        return (
          `vlugins of type \`${word}\` are not supported by this version of Valor, which runs ${listed(words)} ones; ` +
          "take the entry out"
        );
      const [meant] = known.find(([, elsewhere]) => elsewhere.includes(word.toLowerCase())) ?? [];
      return `\`${shown(word)}\` is not ${what}; ${meant ? `did you mean \`${meant}\`?` : suggestion(word, words)}`;
    });
  },
  flag(value, key, fault) {
    if (typeof value !== "boolean") expected(value, key, "true or false", fault);
  },
  limit(value, key, fault, { unit, least, above, most, says, of }, kind) {
    const fraction = unit === "seconds";
    const isOne = fraction ? typeof value === "number" : Number.isInteger(value) && value >= 0;
    const what = fraction ? "a number of seconds" : `a whole number of ${unit}, at least 1`;
    if (!isOne) return expected(value, key, what, fault, meant(value, unit, most));
    const [more, others] = of?.[kind] ?? [];
    const range = above === undefined ? `${least} to ${most}` : `above ${above} and at most ${most}`;
    if (!(value > above || value >= least) || value > most) fault(key, `${says.replace("{}", range)}, not ${value}`);
    else if (value < more) fault(key, `${others}, not ${value}`);
  },
  object,
  config(value, key, fault, kinds, kind) {
    if (kinds[kind] && value !== null) object(value, key, fault, kinds[kind], kind);
  },
};

/** The rules that need code, by name. */
const RULES = {
  any() {},
  name: ofName,
  group: (group) => ofName(group)?.replace("a name", "the name of a group"),
  callee(callee) {
    if (callee === "*") return;
    if (/^_([_.]|$)/.test(callee))
      return (
        `\`${shown(callee)}\` names nothing that a host can offer; write \`_\` once and a name behind it, such as ` +
        "`_count`"
      );
    return ofName(callee.replace(/^_/, ""));
  },
  prefix: ofPrefix,
  path(path) {
    if (!path) return "a path has at least one character; leave the key out otherwise";
    if (path.includes("\0")) return "a path has no NUL character";
  },
  sha256(digest) {
    const isHex = /^[\da-f]*$/i.test(digest);
    if (isHex && digest.length === 64) return;
    const found = isHex ? `${digest.length} digits` : `\`${shown(digest)}\``;
    return `a SHA-256 is 64 hexadecimal digits, as \`sha256sum FILE\` prints them; found ${found}`;
  },
  host(host) {
    if (!host) return "a host has at least one character";
    const [, scheme, rest] = /^(.*?):\/\/([^/]*)/s.exec(host) ?? [];
    if (rest !== undefined)
      return `a host is written here without its scheme; write \`${shown(rest)}\` for \`${shown(scheme)}://…\``;
    const [bad] = /[\s\p{Cc}/?#@]/u.exec(host) ?? [];
    if (bad) return `\`${shown(bad)}\` is not allowed in a host; write \`host\`, \`host:port\`, \`*.domain\` or \`*\``;
  },
  file(path) {
    const isName = (part) => !/^\.{0,2}$/.test(part) && !/[\\:\p{Cc}]/u.test(part);
    if (path !== "." && !path.replace(/\/$/, "").split("/").every(isName))
      return (
        `\`${shown(path)}\` is not a path in the vlugin's folder; ` +
        "write one like data/words.txt, or . for all of it"
      );
  },
  index(name) {
    if (!isServed(name))
      return (
        `\`${shown(name)}\` cannot be served as the page of a folder; ` +
        "write the name of a file, such as index.html"
      );
  },
  served(path) {
    if (!path.split("/").every(isServed))
      return `\`${shown(path)}\` is not a file that can be served; write its path from the folder, such as index.html`;
  },
  field(value) {
    if (!/^[!-~]([ -~]*[!-~])?$/.test(value))
      return `\`${shown(value)}\` is not the value of a header; write one such as max-age=3600`;
  },
};

function ofName(name) {
  const length = [...name].length;
  if (!length) return "a name has at least one character";
  if (length > 64) return `a name has at most 64 characters; this one has ${length}`;
  const [bad] = /[^\w.-]/u.exec(name) ?? [];
  if (bad) return `\`${shown(bad)}\` is not allowed in a name; letters, digits, \`_\`, \`.\` and \`-\` are`;
  if (/^[_.]/.test(name)) return `names that begin with \`_\` or \`.\` are Valor's own; begin \`${name}\` otherwise`;
}

function ofPrefix(prefix) {
  if (!prefix.startsWith("/")) return `a prefix begins with \`/\`; write \`/${shown(prefix)}\``;
  if (prefix === "/") return;
  const [bad] = /[?#\\]|[^!-~]/u.exec(prefix) ?? [];
  if (bad > "\x7f")
    return `\`${shown(bad)}\` must be percent-encoded in a path; write \`${encodeURIComponent(bad)}\` for it`;
  if (bad) return `\`${shown(bad)}\` is not allowed in a prefix, which is a path without a query`;
  if (prefix.endsWith("/")) return `a prefix ends without \`/\`; write \`/${prefix.slice(1).replace(/\/+$/, "")}\``;
  const [escape] = /%(?![\da-f]{2}).{0,2}/i.exec(prefix) ?? [];
  if (escape)
    return (
      `\`${escape}\` is not a percent-encoded byte: write \`%\` and two hexadecimal digits, or ` + "`%25` for a `%`"
    );
  const decoded = prefix.slice(1).toLowerCase();
  const slash = ["%2f", "%5c"].find((it) => decoded.includes(it));
  if (slash) return `\`${slash}\` (an encoded slash) is not allowed in a prefix`;
  for (const segment of decoded.replaceAll("%2e", ".").split("/")) {
    if (!segment) return "a prefix has no empty segment (`//`)";
    if (/^\.\.?$/.test(segment))
      return `a prefix has no \`${segment}\` segment: paths are resolved before routing, so it would never be reached`;
  }
  if (decoded.startsWith("_")) return "prefixes that begin with `/_` are Valor's own; choose another";
}

/** A single name, not hidden, even after characters that some file systems ignore. */
const isServed = (name) => /^(?![\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*(\.|$))[^/\\\p{Cc}]+$/u.test(name);

/** A word from outside for a message: on one line, and not too long. */
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
  return `known are ${listed(all)}`;
}

function listed(words) {
  const quoted = words.map((it) => `\`${it}\``);
  return `${quoted.slice(0, -1).join(", ")} and ${quoted.at(-1)}`;
}

/** By Damerau and Levenshtein: how many letters are added, left out, replaced, or swapped with the next. */
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
