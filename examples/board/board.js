// A board of notes. A page keeps them in the browser's IndexedDB, a server in the CouchDB that `config.couch` names
// and `allow` lists. Everything else is the same code.
//
//   GET /          all notes, oldest first
//   POST /         adds a note: {"text": "…"}
//   GET /ID        one note
//   PUT /ID        replaces its text
//   DELETE /ID     removes it

const failure = (status, message) => Object.assign(new Error(message), { status });

/** Notes in this browser. */
function inBrowser() {
  const opened = new Promise((done, failed) => {
    const opening = indexedDB.open("board", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("notes", { keyPath: "id" });
    opening.onsuccess = () => done(opening.result);
    opening.onerror = () => failed(opening.error);
  });
  const perform = async (mode, act) => {
    const transaction = (await opened).transaction("notes", mode);
    const asked = act(transaction.objectStore("notes"));
    return new Promise((done, failed) => {
      transaction.oncomplete = () => done(asked.result);
      transaction.onabort = () => failed(transaction.error);
    });
  };
  return {
    all: () => perform("readonly", (notes) => notes.getAll()),
    get: (id) => perform("readonly", (notes) => notes.get(id)),
    put: (note) => perform("readwrite", (notes) => notes.put(note)),
    remove: ({ id }) => perform("readwrite", (notes) => notes.delete(id)),
  };
}

/** Notes in a database of a CouchDB, or of anything that speaks its API. */
function inCouch(database) {
  const ask = async (path, method = "GET", body) => {
    const headers = { accept: "application/json", "content-type": "application/json" };
    const response = await fetch(`${database}${path}`, { method, headers, body: body && JSON.stringify(body) });
    // 404: no such note. 412: the database already exists. 409: somebody else was quicker.
    if (response.status === 409) throw failure(409, "the note has changed meanwhile: get it again");
    if (!response.ok && ![404, 412].includes(response.status))
      throw failure(502, `${database} answers ${response.status}`);
    return { found: response.ok, said: await response.json() };
  };
  let there;
  /** Creates the database if it does not exist yet. */
  const ready = () =>
    (there ??= ask("", "PUT").catch((error) => {
      there = null;
      throw error;
    }));
  const noted = ({ _id, _rev, ...note }) => ({ id: _id, ...note, [REVISION]: _rev });
  return {
    async all() {
      await ready();
      const { said } = await ask("/_all_docs?include_docs=true");
      return said.rows.map(({ doc }) => noted(doc));
    },
    async get(id) {
      await ready();
      const { found, said } = await ask(`/${encodeURIComponent(id)}`);
      return found ? noted(said) : undefined;
    },
    async put({ id, ...note }) {
      await ready();
      await ask(`/${encodeURIComponent(id)}`, "PUT", { ...note, ...(note[REVISION] && { _rev: note[REVISION] }) });
    },
    async remove({ id, [REVISION]: revision }) {
      await ask(`/${encodeURIComponent(id)}?rev=${encodeURIComponent(revision)}`, "DELETE");
    },
  };
}

/** Which version of a note is changed. CouchDB has to know, and nobody else sees it. */
const REVISION = Symbol("revision");

async function textOf(request) {
  const { text } = await request.json().catch(() => ({}));
  if (typeof text !== "string" || !text) throw failure(422, 'a note is JSON: {"text": "…"}');
  return text;
}

let store;

export default {
  async fetch(request, env) {
    store ??= globalThis.indexedDB ? inBrowser() : inCouch(env.config.couch);
    const id = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const method = request.method === "HEAD" ? "GET" : request.method;
    if (!id) {
      if (method === "GET") {
        const notes = await store.all();
        return Response.json(notes.sort((a, b) => (a.written < b.written ? -1 : 1)));
      }
      if (method !== "POST") return new Response(null, { status: 405, headers: { allow: "GET, HEAD, POST" } });
      const note = { id: crypto.randomUUID(), text: await textOf(request), written: new Date().toISOString() };
      await store.put(note);
      const location = `${request.headers.get("x-forwarded-prefix") ?? ""}/${note.id}`;
      return Response.json(note, { status: 201, headers: { location } });
    }
    const note = await store.get(id);
    if (!note) throw failure(404, `there is no note ${id}`);
    switch (method) {
      case "GET":
        return Response.json(note);
      case "PUT": {
        const changed = { ...note, text: await textOf(request) };
        await store.put(changed);
        return Response.json(changed);
      }
      case "DELETE":
        await store.remove(note);
        return new Response(null, { status: 204 });
      default:
        return new Response(null, { status: 405, headers: { allow: "GET, HEAD, PUT, DELETE" } });
    }
  },
};
