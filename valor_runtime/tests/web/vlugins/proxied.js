// A router that makes its methods when they are asked for, as itty-router does. It has one of every name.
const router = { fetch: () => new Response("by a Proxy") };
const made = (name) => () => {
  throw new Error(`nobody asked for ${name}`);
};

export default new Proxy(router, { get: (target, name) => target[name] ?? made(String(name)) });
