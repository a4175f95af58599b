// Workers that a script makes: what goes wrong with them is said in Valor's words, and never unseen. A part of
// worker.js.
//
// Deno refuses to load a Worker's module some time after `new Worker`, with an `error` event that has its own advice in
// it. The script gets an event of the same kind with Valor's remedies instead. If the script does not prevent its
// default, it goes on to the realm, as an error that nobody caught.

/** Characters of a Worker's URL that are said. */
const CALLED = 100;
/** What a text of Deno's says here (hints.rs): the right texts are there once a script begins. */
let plain = (text) => text;

/** Takes the tables of hints.rs. A `*` is a part of a line without a quotation mark; the first is said again. */
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

/** Has the realm make Workers whose errors are not unseen. */
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
