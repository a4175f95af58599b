// What valor-check.js and valor-admin.js work from. A test in valor_runtime/src/definition makes it from its rows.

export const FILE = [
  { name: "$schema", text: "any" },
  { name: "plugins", definitions: true, needed: { write: "{ \"plugins\": [ … ] }" } },
];

export const DEFINITION = [
  {
    name: "type",
    needed: { write: "\"type\": \"native\"" },
    words: {
      known: [
        ["native", ["rust", "cdylib", "library", "so", "dll", "dylib"]],
        ["wasm", ["webassembly", "module"]],
        ["wasi", ["component"]],
        ["js", ["javascript", "typescript", "ts", "mjs", "deno", "node", "script"]],
        ["files", ["static", "folder", "dir", "directory"]],
      ],
      later: [],
      what: "a type of vlugin",
    },
  },
  { name: "name", needed: { write: "\"name\": \"hello\"" }, text: "name" },
  { name: "prefix", text: "prefix" },
  { name: "strip", default: true, flag: true, without: { files: ", which is part of Valor; take it out" } },
  {
    name: "rewrite",
    against: ["strip", "`rewrite` has no meaning with `\"strip\": false`: the vlugin sees its prefix; take one of them out"],
    default: false,
    flag: true,
    without: { files: ", which is part of Valor; take it out" },
  },
  {
    name: "path",
    hidden: true,
    needed: { kinds: ["files"], write: "the folder to serve, \"path\": \"public\"" },
    text: "path",
  },
  {
    name: "source",
    hidden: true,
    text: "path",
    without: { files: ", which is part of Valor; take it out", js: ", which is not built; give its file in `path`" },
  },
  {
    name: "config",
    config: {
      files: {
        example: "{ \"index\": \"index.html\" }",
        keys: [
          { name: "index", text: "index" },
          { name: "fallback", text: "served" },
          { name: "cache_control", text: "field" },
        ],
      },
    },
    hidden: true,
  },
  { name: "sha256", text: "sha256", without: { files: ", which is part of Valor; take it out" } },
  { name: "allow", texts: ["an array of hosts", "host"], without: { files: ", which is part of Valor; take it out" } },
  {
    name: "callees",
    texts: ["an array of names", "callee"],
    without: { files: ", which is part of Valor; take it out" },
  },
  {
    name: "limits",
    object: {
      example: "{ \"timeout\": 30 }",
      keys: [
        {
          name: "timeout",
          default: 30,
          limit: { above: 0, most: 86400, says: "a timeout is {} seconds (a day)", unit: "seconds" },
        },
        {
          name: "body",
          default: 10485760,
          limit: { least: 1, most: 1099511627776, says: "a body's limit is {} bytes (1 TiB)", unit: "bytes" },
        },
        {
          name: "concurrency",
          default: 1024,
          limit: { least: 1, most: 1000000, says: "a concurrency is {} requests", unit: "requests" },
        },
        {
          name: "memory",
          default: 67108864,
          limit: {
            least: 65536,
            most: 4294967296,
            of: { js: [16777216, "a script has at least 16777216 bytes (16 MiB) of memory", 268435456] },
            says: "a memory is {} bytes (64 KiB to 4 GiB)",
            unit: "bytes",
          },
          only: ["wasm", "wasi", "js"],
          why: ": only those of types `wasm`, `wasi` and `js` have it; take it out",
        },
        {
          name: "cpu",
          default: 1,
          limit: { least: 0.01, most: 86400, says: "a run is {} seconds (a day)", unit: "seconds" },
          only: ["wasm", "wasi", "js"],
          why: ": only those of types `wasm`, `wasi` and `js` have it; take it out",
        },
        {
          name: "instances",
          default: 1,
          limit: { least: 1, most: 1000, says: "there are {} instances", unit: "instances" },
          only: ["wasm", "wasi"],
          why: ": only those of types `wasm` and `wasi` have it; take it out",
        },
        {
          name: "host_memory",
          default: 67108864,
          limit: {
            least: 1048576,
            most: 1099511627776,
            says: "the host's memory for a vlugin is {} bytes (1 MiB to 1 TiB)",
            unit: "bytes",
          },
          only: ["native", "wasm", "wasi", "js"],
          why: ": only those of types `native`, `wasm`, `wasi` and `js` have it; take it out",
        },
        {
          name: "fetches",
          default: 128,
          limit: { least: 1, most: 1000000, says: "there are {} fetches at once", unit: "fetches" },
          only: ["native", "wasm", "wasi", "js"],
          why: ": only those of types `native`, `wasm`, `wasi` and `js` have it; take it out",
        },
        {
          name: "calls",
          default: 128,
          limit: { least: 1, most: 1000000, says: "there are {} calls at once", unit: "calls" },
          only: ["native", "wasm", "wasi", "js"],
          why: ": only those of types `native`, `wasm`, `wasi` and `js` have it; take it out",
        },
        {
          name: "timers",
          default: 10000,
          limit: { least: 1, most: 1000000, says: "there are {} timers at once", unit: "timers" },
          only: ["native", "wasm", "wasi"],
          why: ": only those of types `native`, `wasm` and `wasi` have it; take it out",
        },
        {
          name: "compile",
          default: 1,
          limit: { least: 1, most: 1000000, says: "compiling takes {} times the usual work", unit: "times the usual work" },
          only: ["wasm", "wasi"],
          why: ": only those of types `wasm` and `wasi` have it; take it out",
        },
      ],
    },
  },
  {
    name: "files",
    only: ["wasi", "js"],
    texts: ["an array of files and folders", "file"],
    why: ": only those of types `wasi` and `js` have it; take it out",
  },
  {
    name: "writable",
    only: ["wasi"],
    texts: ["an array of folders", "file"],
    why: ": only those of type `wasi` have it; take it out",
  },
  {
    name: "instance",
    only: ["wasm", "wasi"],
    why: ": only those of types `wasm` and `wasi` have it; take it out",
    words: { known: [["request", []], ["shared", []]], later: [], what: "what an instance answers" },
  },
  { name: "group", only: ["js"], text: "group", why: ": only a `js` vlugin has its own process; take it out" },
  {
    name: "start",
    default: "eager",
    only: ["js"],
    why: ": only a `js` vlugin has its own process; take it out",
    words: { known: [["eager", []], ["lazy", []]], later: [], what: "a way to start" },
  },
  { name: "optional", default: false, flag: true },
];

export const LATER = ["url"];

export const EXAMPLE = "{ \"type\": \"native\", \"name\": \"hello\" }";
