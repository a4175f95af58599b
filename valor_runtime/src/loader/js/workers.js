// Workers that a script creates: their errors use Valor's words, and never go unnoticed. A part of worker.js.
//
// Deno refuses to load a Worker's module some time after `new Worker`, with an `error` event that contains its own
// advice. The script gets an event of the same kind with Valor's remedies instead. Unless the script prevents its
// default, it goes on to the realm, as an uncaught error.

/** The most characters of a Worker's URL in a message. */
const CALLED = 100;
/** What replaces one of Deno's texts here (hints.rs): those about permissions are there once a script begins. */
let plain = (text) => text;

/** Takes the tables of hints.rs. A `*` is a part of a line without a quotation mark; the first one is repeated. */
function advise(hints, rights) {
  const { escape } = RegExp;
  const pattern = (said) => new RegExp(said.split("*").map(escape).join("([^`\"'\\n]*)"), "g");
  const known = hints.map(([said, instead]) => [pattern(said), instead]);
  const granting = /, run again with the --allow-([a-z]+) flag/g;
  plain = (text) => {
    for (const [said, instead] of known) text = text.replace(said, (_, word) => instead.replaceAll("*", () => word));
    return text.replace(granting, (all, right) => rights[right] ?? all);
  };
}

/** Makes the realm's Workers report their errors. */
function nesting() {
  const { Worker: NativeWorker, ErrorEvent } = globalThis;
  const again = new WeakSet();
  const said = (event, message, more) => {
    const { filename, lineno, colno, error } = event;
    const other = new ErrorEvent("error", { cancelable: true, message, filename, lineno, colno, error, ...more });
    again.add(other);
    return other;
  };
  globalThis.Worker = class Worker extends NativeWorker {
    constructor(specifier, options) {
      super(specifier, options);
      const name = String(specifier);
      const called = name.startsWith(folder) ? shown(name) : name.slice(0, CALLED);
      super.addEventListener("error", (event) => {
        if (again.has(event)) return;
        event.stopImmediatePropagation();
        event.preventDefault();
        const message = plain(event.message);
        if (!super.dispatchEvent(said(event, message))) return;
        const unseen = `in the Worker \`${called}\`: ${message.replace(/^Uncaught /, "")}`;
        globalThis.dispatchEvent(said(event, unseen, { error: null }));
      });
    }
  };
}
