//! The rows of a plugins.json and of a definition. `limit_rows` and `files` have those of the objects in it.

use super::{
    component, limit_rows,
    rules::{self, Rule},
    script,
    table::{
        Against, KEY, Key, Known, Needed, Object, Otherwise,
        Shape::{self, Config, Definitions, Flag, Object as Of, Text, Texts, Word},
        Takers, Words, find,
    },
};

/// Keys for kinds that only other versions of Valor know.
pub(super) const LATER: &[&str] = &["url"];

/// A plugins.json.
pub(super) const FILE: &[Key] = &[
    Key {
        name: "$schema",
        shape: text(rules::ANY),
        says: "the JSON Schema of this file, for editors",
        ..KEY
    },
    Key {
        name: "plugins",
        shape: Definitions,
        needed: Needed::Always("{ \"plugins\": [ … ] }"),
        says: "the vlugins",
        ..KEY
    },
];

/// A definition, for "expected an object such as …".
pub(super) const EXAMPLE: &str = "{ \"type\": \"native\", \"name\": \"hello\" }";

const HELD: Takers = Takers::Only("only those of {types} have it");

const SCRIPTS: Takers = Takers::Only("only a {kinds} vlugin has its own process");

/// A definition.
pub(super) const DEFINITION: &[Key] = &[
    Key {
        name: "type",
        shape: Word(Words {
            name: "Kind",
            says: "The kinds of vlugin.",
            what: "a type of vlugin",
            words: Known::Kinds,
            later: &[],
            default: None,
        }),
        needed: Needed::Always("\"type\": \"native\""),
        says: "the kind of vlugin",
        ..KEY
    },
    Key {
        name: "name",
        shape: text(rules::NAME),
        needed: Needed::Always("\"name\": \"hello\""),
        says: "the vlugin's name in the log, in `x-valor-plugin` and for `call`, once in a file: letters, digits, \
               `_`, `.` and `-`, at most 64, the first neither `_` nor `.`",
        ..KEY
    },
    Key {
        name: "prefix",
        shape: text(rules::PREFIX),
        otherwise: Otherwise::Is("`/` and the name"),
        says: "where it is mounted, once in a file: `/`, or a path that does not end with `/`; not below `/_`",
        ..KEY
    },
    Key {
        name: "strip",
        takers: Takers::Most,
        shape: Flag(true),
        says: "whether the prefix [is taken off the path](#prefixes); an app with a base path takes all of it",
        ..KEY
    },
    Key {
        name: "rewrite",
        takers: Takers::Most,
        shape: Flag(false),
        says: "whether [its responses' paths](#prefixes) get the prefix: in `location`, `content-location` and cookies",
        against: Some(Against {
            key: "strip",
            says: "`rewrite` has no meaning with `\"strip\": false`: the vlugin sees its prefix; take one of them out",
        }),
        ..KEY
    },
    Key {
        name: "path",
        shape: text(rules::PATH),
        needed: Needed::BySome,
        otherwise: Otherwise::Is("the library of `source`, else the name"),
        says: "the library's file, or [a bare name](#bare-names) to look for; for `js` the script, for `files` the \
               folder",
        // The file that was found is listed.
        is_listed: false,
        ..KEY
    },
    Key {
        name: "source",
        takers: Takers::Most,
        shape: text(rules::PATH),
        says: "the folder of the crate that it is built from, relative to plugins.json",
        is_listed: false,
        ..KEY
    },
    Key {
        name: "config",
        shape: Config,
        otherwise: Otherwise::Is("`null`"),
        says: "handed to the vlugin as it is; for `files` [an object](files.md#config)",
        is_listed: false,
        ..KEY
    },
    Key {
        name: "sha256",
        takers: Takers::Most,
        shape: text(rules::SHA256),
        says: "the SHA-256 that the file must have, 64 hexadecimal digits",
        ..KEY
    },
    Key {
        name: "allow",
        takers: Takers::Most,
        shape: Texts {
            what: "an array of hosts",
            rule: rules::HOST,
        },
        otherwise: Otherwise::Servers,
        says: "the [servers that it may reach](#allow): `host`, `host:port` or `*.domain`, or `*` for all",
        ..KEY
    },
    Key {
        name: "callees",
        takers: Takers::Most,
        shape: Texts {
            what: "an array of names",
            rule: rules::CALLEE,
        },
        otherwise: Otherwise::Is("every vlugin, and nothing of the host's"),
        says: "the [vlugins that it may call](#callees), `*` for every one, and what the host offers",
        ..KEY
    },
    Key {
        name: "limits",
        shape: Of(Object {
            name: "Limits",
            says: "What a vlugin may use. What is not said is taken from the runtime's defaults.",
            example: "{ \"timeout\": 30 }",
            keys: limit_rows::KEYS,
        }),
        otherwise: Otherwise::Is("see below"),
        says: "[what it may use](#limits)",
        ..KEY
    },
    Key {
        name: "files",
        takers: HELD,
        shape: Texts {
            what: "an array of files and folders",
            rule: script::FILE,
        },
        says: "the files and folders that a script [may read](js.md#files), or the folders that a component \
               [may read](wasi.md#files), from its folder; `.` is all",
        ..KEY
    },
    Key {
        name: "writable",
        takers: HELD,
        shape: Texts {
            what: "an array of folders",
            rule: script::FILE,
        },
        says: "the folders that a component [may read and change](wasi.md#files), from its folder; `.` is all",
        ..KEY
    },
    Key {
        name: "instance",
        takers: HELD,
        shape: Word(Words {
            name: "Instance",
            says: "What an instance of a `wasm` or `wasi` vlugin answers.",
            what: "what an instance answers",
            words: Known::These(|| component::INSTANCES.iter().map(|(_, word)| *word).collect()),
            later: &[],
            default: None,
        }),
        otherwise: Otherwise::Is("`\"request\"` with WASI 0.2, and otherwise `\"shared\"`"),
        says: "what an instance [of a module](wasm.md#instances) or [of a component](wasi.md#instances) answers",
        ..KEY
    },
    Key {
        name: "group",
        takers: SCRIPTS,
        shape: text(rules::GROUP),
        says: "vlugins of one group [share a process](js.md#groups), and its end",
        ..KEY
    },
    Key {
        name: "start",
        takers: SCRIPTS,
        shape: Word(Words {
            name: "Start",
            says: "When a `js` vlugin's process is started.",
            what: "a way to start",
            words: Known::These(|| script::STARTS.iter().map(|(_, word)| *word).collect()),
            later: &[],
            default: Some("eager"),
        }),
        says: "when the script is started",
        ..KEY
    },
    Key {
        name: "optional",
        shape: Flag(false),
        says: "if true, the others are served even if this one lacks a tool or a package, or was not built",
        ..KEY
    },
];

/// A text without a default.
const fn text(rule: &'static Rule) -> Shape {
    Text {
        rule,
        default: None,
    }
}

/// The default of a definition's flag.
pub(super) const fn flag(name: &str) -> bool {
    match find(DEFINITION, name).shape {
        Flag(default) => default,
        _ => panic!("this key is no flag"),
    }
}
