// The headers of wasi:http, in 0.2 and in 0.3: one class with the functions of both. And the names of methods.

import { refusal } from "./io.js";

const TOKEN = /^[!#$%&'*+\-.^_`|~\da-z]+$/i;
/** What belongs to a connection or is said elsewhere, as in `wasmtime serve`. */
const FORBIDDEN =
  /^(connection|host|http2-settings|keep-alive|proxy-(connection|auth(enticate|orization))|transfer-encoding|upgrade)$/i;
const METHODS = ["get", "head", "post", "put", "delete", "connect", "options", "trace", "patch"];

// Header values are bytes; in JavaScript each is a character of the same number.
const latin1 = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const bytesOf = (text) => Uint8Array.from(text, (c) => c.charCodeAt(0));

export function methodOf(name) {
  const tag = name.toLowerCase();
  // Methods are case-sensitive (RFC 9110, section 9.1).
  return METHODS.includes(tag) && name === name.toUpperCase() ? { tag } : { tag: "other", val: name };
}

export const methodName = ({ tag, val }) => (tag === "other" ? val : tag.toUpperCase());

export const isMethod = ({ tag, val }) => tag !== "other" || TOKEN.test(val);

function checked(name, value) {
  if (!TOKEN.test(name) || value?.some((byte) => byte === 0 || byte === 10 || byte === 13))
    throw refusal({ tag: "invalid-syntax" });
  if (FORBIDDEN.test(name)) throw refusal({ tag: "forbidden" });
}

export class Fields {
  #all = [];
  #isFixed = false;

  /** Those of a message that has come, which cannot be changed. */
  static of(headers) {
    const made = new Fields();
    for (const [name, value] of headers) if (!FORBIDDEN.test(name)) made.#all.push([name, bytesOf(value)]);
    return made.fix();
  }

  static fromList(entries) {
    const made = new Fields();
    for (const [name, value] of entries) made.append(name, value);
    return made;
  }

  /** As the host has headers. */
  get list() {
    return this.#all.map(([name, value]) => [name.toLowerCase(), latin1(value)]);
  }

  fix() {
    this.#isFixed = true;
    return this;
  }

  #change() {
    if (this.#isFixed) throw refusal({ tag: "immutable" });
  }

  get(name) {
    const wanted = name.toLowerCase();
    return this.#all.filter(([it]) => it.toLowerCase() === wanted).map(([, value]) => value);
  }

  has(name) {
    return this.get(name).length > 0;
  }

  set(name, values) {
    this.delete(name);
    for (const value of values) this.append(name, value);
  }

  delete(name) {
    this.#change();
    checked(name);
    const wanted = name.toLowerCase();
    this.#all = this.#all.filter(([it]) => it.toLowerCase() !== wanted);
  }

  getAndDelete(name) {
    const found = this.get(name);
    this.delete(name);
    return found;
  }

  append(name, value) {
    this.#change();
    checked(name, value);
    this.#all.push([name, value.slice()]);
  }

  entries() {
    return this.#all.slice();
  }

  copyAll() {
    return this.entries();
  }

  clone() {
    const made = new Fields();
    made.#all = this.entries();
    return made;
  }
}
