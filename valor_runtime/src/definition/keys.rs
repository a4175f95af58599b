//! The rows of a plugins.json and of a definition. `limits` and `files` have those of the objects in it.

use super::{
    files,
    kind::{KINDS, Kind},
    limits,
    rules::{self, Rule},
    script,
    table::{
        Against, KEY, Key, Needed, Object, Otherwise,
        Shape::{self, Config, Definitions, Flag, Object as Of, Text, Texts, Word},
        Takers, Words,
    },
};

/// Keys that only kinds have that other versions of Valor know.
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

/// `files` is no code that is built, named, or kept from servers.
const NOT_FILES: Takers = Takers::AllBut(&[(Kind::Files, files::PART_OF_VALOR)]);
const SCRIPTS: Takers = Takers::Only(&[Kind::Js], "only a `js` vlugin has its own process");

/// A definition.
pub(super) const DEFINITION: &[Key] = &[
    Key {
        name: "type",
        shape: Word(Words {
            name: "Kind",
            says: "The kinds of vlugin.",
            what: "a type of vlugin",
            words: || KINDS.iter().map(|row| row.word).collect(),
            later: &["wasi"],
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
        takers: NOT_FILES,
        shape: Flag(true),
        says: "whether the prefix [is taken off the path](#prefixes); an app with a base path takes all of it",
        ..KEY
    },
    Key {
        name: "rewrite",
        takers: NOT_FILES,
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
        needed: Needed::By(&[Kind::Files], "the folder to serve, \"path\": \"public\""),
        otherwise: Otherwise::Is("the library of `source`, else the name"),
        says: "the library's file, or [a bare name](#bare-names) to look for; for `js` the script, for `files` the \
               folder",
        ..KEY
    },
    Key {
        name: "source",
        takers: Takers::AllBut(&[
            (Kind::Js, "which is not built; give its file in `path`"),
            (Kind::Files, files::PART_OF_VALOR),
        ]),
        shape: text(rules::PATH),
        says: "the folder of the crate that it is built from, relative to plugins.json",
        ..KEY
    },
    Key {
        name: "config",
        shape: Config,
        otherwise: Otherwise::Is("`null`"),
        says: "handed to the vlugin as it is; for `files` [an object](files.md#config)",
        ..KEY
    },
    Key {
        name: "sha256",
        takers: NOT_FILES,
        shape: text(rules::SHA256),
        says: "the SHA-256 that the file must have, 64 hexadecimal digits",
        ..KEY
    },
    Key {
        name: "allow",
        takers: NOT_FILES,
        shape: Texts {
            what: "an array of hosts",
            rule: rules::HOST,
        },
        otherwise: Otherwise::OfKind(|row| match row.kind.reaches_every_host() {
            true => "every server",
            false => "none",
        }),
        says: "the [servers that it may reach](#allow): `host`, `host:port` or `*.domain`, or `*` for all",
        ..KEY
    },
    Key {
        name: "limits",
        shape: Of(Object {
            name: "Limits",
            says: "What a vlugin may use. What is not said is taken from the runtime's defaults.",
            example: "{ \"timeout\": 30 }",
            keys: limits::KEYS,
        }),
        otherwise: Otherwise::Is("see below"),
        says: "[what it may use](#limits)",
        ..KEY
    },
    Key {
        name: "files",
        takers: SCRIPTS,
        shape: Texts {
            what: "an array of files and folders",
            rule: script::FILE,
        },
        says: "the files and folders that the script [may read](js.md#files), from its folder; `.` is all",
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
            words: || script::STARTS.iter().map(|(_, word)| *word).collect(),
            later: &[],
            default: Some("eager"),
        }),
        says: "when the script is started",
        ..KEY
    },
    Key {
        name: "optional",
        shape: Flag(false),
        says: "if true, the others are served even if this one lacks a tool or a package",
        ..KEY
    },
];

/// The row of this name, found when the program is compiled.
pub(super) const fn find(keys: &'static [Key], name: &str) -> &'static Key {
    let mut index = 0;
    while index < keys.len() {
        if is_same(keys[index].name.as_bytes(), name.as_bytes()) {
            return &keys[index];
        }
        index += 1;
    }
    panic!("there is no row of this name")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// The default of a text that has one.
pub(super) const fn text_default(key: &Key) -> &'static str {
    match key.shape {
        Text {
            default: Some(default),
            ..
        } => default,
        _ => panic!("this key is no text with a default"),
    }
}

/// A text without a default.
const fn text(rule: &'static Rule) -> Shape {
    Text {
        rule,
        default: None,
    }
}

/// The default of a flag of a definition.
pub(super) const fn flag(name: &str) -> bool {
    match find(DEFINITION, name).shape {
        Flag(default) => default,
        _ => panic!("this key is no flag"),
    }
}
