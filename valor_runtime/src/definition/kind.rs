//! The kinds of vlugin: [`Kind`], and [`KINDS`] with one row for each.
//!
//! A row has what is a kind's and not a key's: the kind's word, the servers that it may reach if `allow` says nothing,
//! and its `config` if Valor reads that itself. The keys' rows say which keys a kind has (`table` says why).

use super::{
    files,
    table::{Object, Word},
};
use serde::{Deserialize, Serialize};

/// The kinds of vlugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A shared library.
    Native,
    /// A WebAssembly module.
    Wasm,
    /// A JavaScript or TypeScript file, run by Deno.
    Js,
    /// A folder of files, served by Valor itself.
    Files,
}

/// What is known of a kind.
pub(crate) struct KindRow {
    /// The kind.
    pub kind: Kind,
    /// The word for it in plugins.json.
    pub word: Word,
    /// See [`Kind::reaches_every_host`].
    pub reaches_every_host: bool,
    /// What its `config` is, if that is not the vlugin's own affair.
    pub config: Option<&'static Object>,
}

/// Every kind, in the order of [`Kind`].
pub(crate) const KINDS: &[KindRow] = &[
    KindRow {
        kind: Kind::Native,
        word: Word {
            text: "native",
            says: "a shared library",
            elsewhere: &["rust", "cdylib", "library", "so", "dll", "dylib"],
        },
        reaches_every_host: true,
        config: None,
    },
    KindRow {
        kind: Kind::Wasm,
        word: Word {
            text: "wasm",
            says: "[a WebAssembly module](wasm.md)",
            elsewhere: &["webassembly"],
        },
        reaches_every_host: false,
        config: None,
    },
    KindRow {
        kind: Kind::Js,
        word: Word {
            text: "js",
            says: "[a JavaScript or TypeScript file](js.md), run by Deno",
            elsewhere: &[
                "javascript",
                "typescript",
                "ts",
                "mjs",
                "deno",
                "node",
                "script",
            ],
        },
        reaches_every_host: false,
        config: None,
    },
    KindRow {
        kind: Kind::Files,
        word: Word {
            text: "files",
            says: "[a folder of files](files.md), served by Valor itself",
            elsewhere: &["static", "folder", "dir", "directory"],
        },
        reaches_every_host: false,
        config: Some(files::CONFIG),
    },
];

const ALL: [Kind; KINDS.len()] = {
    let mut all = [Kind::Native; KINDS.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = KINDS[index].kind;
        // `row` finds a kind's row by its number.
        assert!(KINDS[index].kind as usize == index);
        index += 1;
    }
    all
};

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = &ALL;

    /// The word in plugins.json.
    pub const fn as_str(self) -> &'static str {
        self.row().word.text
    }

    /// What is known of it.
    pub(crate) const fn row(self) -> &'static KindRow {
        &KINDS[self as usize]
    }

    /// Whether a vlugin of this kind reaches every host if its definition has no `allow`: code of this process could
    /// open any connection itself. The others reach none.
    pub(crate) const fn reaches_every_host(self) -> bool {
        self.row().reaches_every_host
    }

    /// The kind that has this word in plugins.json.
    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
