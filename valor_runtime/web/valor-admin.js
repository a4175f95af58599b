// The host's own vlugins, `/_health` and `/_plugins`, like the server's `admin`. `valor-dispatch.js` calls them.

import { DEFINITION } from "./valor-keys.js";
import { checked, runsIn } from "./valor-pages.js";
import { byName, byPrefix, fit, insert, lackOf, mount, prepare, remove, save } from "./valor-registry.js";
import { Fault, json, problem, refuse } from "./valor-rules.js";
import { addressOf } from "./valor-store.js";

/** The longest definition, in characters. */
const LONGEST = 1048576;

const notAllowed = (methods) => problem(405, `the methods here are ${methods}`, ["allow", methods]);

/** The keys to list, with their defaults, or null. */
function listed(rows, said, type) {
  const has = ({ hidden, only, without }) => !hidden && (only ? only.includes(type) : !without?.[type]);
  const each = rows.filter(has).map((row) => {
    const given = said?.[row.name];
    if (row.object) return [row.name, listed(row.object.keys, given, type)];
    return [row.name, given ?? row.limit?.of?.[type]?.[2] ?? row.default ?? null];
  });
  return Object.fromEntries(each);
}

const describe = ({ name, prefix, definition, generation, unavailable, running, sha256, version = null }) => ({
  ...listed(DEFINITION, definition, definition.type),
  file: addressOf(definition),
  generation, name, prefix,
  reason: unavailable ?? null, running, runs: runsIn(definition), sha256: sha256 ?? definition.sha256 ?? null,
  state: unavailable ? "unavailable" : "ready", type: definition.type, version,
});

/** A value after a patch (RFC 7396); null removes a key. */
function merged(value, patch) {
  const isObject = (it) => Object(it) === it && !Array.isArray(it);
  if (!isObject(patch)) return patch;
  const entries = new Map(isObject(value) ? Object.entries(value) : []);
  for (const [key, it] of Object.entries(patch))
    if (it === null) entries.delete(key);
    else entries.set(key, merged(entries.get(key), it));
  return Object.fromEntries(entries);
}

/** The definition in a request's body; for a PATCH, `old` with the changes. */
async function definitionOf({ method, headers, body }, old) {
  const isPatch = method === "PATCH";
  const kind = headers.find(([name]) => name === "content-type")?.[1];
  if (!(isPatch ? /^\s*application\/(merge-patch\+)?json\s*(;|$)/i : /^\s*application\/json\s*(;|$)/i).test(kind))
    refuse(415, "a definition is sent as application/json");
  const text = await new Response(body).text();
  if (text.length > LONGEST) refuse(413, `the definition is over ${LONGEST} bytes`);
  let definition;
  try {
    definition = JSON.parse(text);
  } catch (error) {
    refuse(400, `the body is not JSON: ${error.message}`);
  }
  if (isPatch) definition = merged(old.definition, definition);
  if (definition?.source !== undefined)
    refuse(422, "source: `source` is for plugins.json: over HTTP nothing is built; give the vlugin's file in `path`");
  await checked(text, definition, true);
  fit(definition);
  return definition;
}

async function plugins(request, path) {
  const name = path.slice(1);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const found = () => {
    if (byName.has(name)) return byName.get(name);
    refuse(404, `no vlugin is named \`${name}\``);
  };
  if (!name && method === "GET")
    return json(200, { plugins: [...byName.keys()].sort().map((key) => describe(byName.get(key))) });
  if (method === "GET") return json(200, describe(found()));
  if (name && method === "DELETE") {
    remove(found());
    await save();
    return { status: 204, headers: [], body: null };
  }
  if (name ? !/^(PUT|PATCH)$/.test(method) : method !== "POST")
    return notAllowed(name ? "GET, HEAD, PUT, PATCH, DELETE" : "GET, HEAD, POST");
  const old = name ? found() : null;
  const definition = await definitionOf(request, old);
  if (old && definition.name !== name)
    refuse(
      422,
      `the definition is of \`${definition.name}\`, but the path names \`${name}\`: they must be the same`,
    );
  const fresh = mount(definition);
  const free = () => {
    const at = byPrefix.get(fresh.prefix);
    if (!old && byName.has(fresh.name)) refuse(409, `the name \`${fresh.name}\` is taken`);
    if (at && at.name !== old?.name) refuse(409, `the prefix ${fresh.prefix} is taken by the vlugin \`${at.name}\``);
  };
  free();
  try {
    await prepare(fresh);
  } catch (error) {
    refuse(422, error.message);
  }
  free();
  if (old) remove(found());
  fresh.listed = old?.listed;
  insert(fresh);
  await save();
  const response = json(old ? 200 : 201, describe(fresh));
  if (!old) response.headers.push(["location", `/_plugins/${fresh.name}`]);
  return response;
}

/** By their names without the underscore. */
export const BUILT_IN = {
  health: async ({ method }, path) => {
    if (!/^(GET|HEAD)$/.test(method)) return notAllowed("GET, HEAD");
    if (path === "/live") return json(200, { status: "live" });
    if (!["", "/", "/ready"].includes(path))
      return problem(404, `there is no /_health${path}: /_health, /_health/live and /_health/ready`);
    // Only optional ones can be missing here, which is no fault.
    const unavailable = [...byName.values()].filter((m) => m.unavailable).map((m) => [m.name, lackOf(m)]);
    return json(200, { status: "ready", unavailable: Object.fromEntries(unavailable) });
  },
  plugins: (request, path) =>
    plugins(request, path).catch((error) => {
      if (!(error instanceof Fault)) throw error;
      return problem(error.status, error.message);
    }),
};
