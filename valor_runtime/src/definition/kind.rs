//! What a kind of vlugin means for a definition: [`Kind`], and its [`KindRow`].
//!
//! A row has the kind's word, the keys and limits that it takes among those that not every kind takes, the servers that
//! it may reach without `allow`, its `config` if Valor reads that itself, and where it runs. The rows of Valor's own
//! kinds are in `loader/table`, each next to what creates its loader; a program adds more with
//! [`Builder::kind`](crate::Builder::kind). Everything that is derived from rows uses the rows that it gets.

use super::{
    limit::Bound,
    table::{Object, Word},
};
use serde::{Serialize, Serializer};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// A kind of vlugin: the `type` of a definition.
///
/// Its word identifies it. Its properties are in its [`KindRow`]. Code asks the row for them, so no `match` has a kind
/// as a case.
#[derive(Clone, Copy)]
pub struct Kind(&'static KindRow);

/// Everything about a kind of vlugin except its loader.
///
/// ```
/// use valor_runtime::{Kind, KindRow};
///
/// static LUA: KindRow = KindRow::new("lua", "a Lua script")
///     .takes(&["fetches", "calls"])
///     .lacks(&[("source", "which is not built; give its file in `path`")]);
/// assert_eq!(Kind::new(&LUA).as_str(), "lua");
/// ```
pub struct KindRow {
    /// The word for it in plugins.json.
    pub(crate) word: Word,
    /// See [`KindRow::takes`].
    pub(crate) takes: &'static [&'static str],
    /// See [`KindRow::lacks`].
    pub(crate) lacks: &'static [(&'static str, &'static str)],
    /// See [`KindRow::needs`].
    pub(crate) needs: &'static [(&'static str, &'static str)],
    /// Limits with a different range and default.
    pub(crate) bounds: &'static [Bound],
    /// See [`Kind::reaches_every_host`].
    pub(crate) reaches_every_host: bool,
    /// The shape of its `config`, unless only the vlugin knows that.
    pub(crate) config: Option<&'static Object>,
    /// See [`Kind::runs`].
    pub(crate) runs: &'static str,
    /// See [`Kind::in_page`].
    pub(crate) in_page: InPage,
    /// See [`Kind::target`].
    pub(crate) target: Option<fn() -> &'static str>,
}

/// How a vlugin gets into the folder for a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InPage {
    /// No browser runs it.
    Never,
    /// Its file is a WebAssembly module, which is copied.
    Module,
    /// Its file is a WebAssembly component, which becomes an ES module and what that loads.
    Component,
    /// Its file is a script, which becomes one file with everything that it imports.
    Script,
    /// Its folder is copied.
    Folder,
}

impl KindRow {
    /// A kind with this word in plugins.json, and its meaning: "a shared library".
    ///
    /// Its vlugins run in the host's process, reach no server, get into no page and no package, and have the keys that
    /// most kinds have.
    pub const fn new(word: &'static str, says: &'static str) -> Self {
        Self {
            word: Word {
                text: word,
                says,
                elsewhere: &[],
            },
            takes: &[],
            lacks: &[],
            needs: &[],
            bounds: &[],
            reaches_every_host: false,
            config: None,
            runs: "host process",
            in_page: InPage::Never,
            target: None,
        }
    }

    /// Other words for it, in lower case, for a hint.
    pub const fn elsewhere(mut self, words: &'static [&'static str]) -> Self {
        self.word.elsewhere = words;
        self
    }

    /// The keys and limits that it takes, among those that only some kinds take.
    pub const fn takes(mut self, keys: &'static [&'static str]) -> Self {
        self.takes = keys;
        self
    }

    /// The keys that it does not take, among those that most kinds take, each with the reason and what to do: "which is
    /// not built; give its file in `path`".
    pub const fn lacks(mut self, keys: &'static [(&'static str, &'static str)]) -> Self {
        self.lacks = keys;
        self
    }

    /// The keys that it requires, among those that only some kinds require, each with what to write.
    pub const fn needs(mut self, keys: &'static [(&'static str, &'static str)]) -> Self {
        self.needs = keys;
        self
    }

    /// Where its vlugins run, as `/_plugins` reports it.
    pub const fn runs(mut self, place: &'static str) -> Self {
        self.runs = place;
        self
    }
}

impl Kind {
    /// The kind that this row describes.
    pub const fn new(row: &'static KindRow) -> Self {
        Self(row)
    }

    /// The word in plugins.json.
    pub const fn as_str(self) -> &'static str {
        self.0.word.text
    }

    /// Its meaning.
    pub(crate) const fn row(self) -> &'static KindRow {
        self.0
    }

    /// Whether a vlugin of this kind reaches every host if its definition has no `allow`: code in this process could
    /// open any connection itself. Other kinds reach none.
    pub(crate) const fn reaches_every_host(self) -> bool {
        self.0.reaches_every_host
    }

    /// A package's name for the code of a vlugin of this kind for this host: the target triple that it is built for, or
    /// `javascript`. `None` if no package holds such vlugins.
    pub fn target(self) -> Option<&'static str> {
        self.0.target.map(|target| target())
    }

    /// Whether a vlugin of this kind can be built from a crate: the key `source`.
    pub fn is_built(self) -> bool {
        self.0.lacks.iter().all(|(key, _)| *key != "source")
    }

    /// How a vlugin of this kind gets into a page.
    pub const fn in_page(self) -> InPage {
        self.0.in_page
    }

    /// Where vlugins of this kind run.
    pub(crate) const fn runs(self) -> &'static str {
        self.0.runs
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Kind {}

impl Hash for Kind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
