// A router whose methods are made as they are asked for, as itty-router's are: it has one of every name.
const router = { fetch: () => new Response("by a Proxy") };
const made = (name) => () => {
  throw new Error(`nobody asked for ${name}`);
};

export default new Proxy(router, { get: (target, name) => target[name] ?? made(String(name)) });
