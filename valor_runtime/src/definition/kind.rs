//! What a kind of vlugin is to a definition: [`Kind`], and the [`KindRow`] behind it.
//!
//! A row has the kind's word, the keys and limits that it takes among those that not every kind takes, the servers that
//! it may reach if `allow` says nothing, its `config` if Valor reads that itself, and where it runs. The rows of Valor's
//! own kinds are in `loader/table`, each beside what makes its loader; a program brings more with
//! [`Builder::kind`](crate::Builder::kind). All that is made from rows is made from those that it is given.

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
/// It is known by its word. What holds of a kind is in its [`KindRow`]; code that wants to know it asks the row, so no
/// kind is a case of a `match`.
#[derive(Clone, Copy)]
pub struct Kind(&'static KindRow);

/// All that is said of a kind of vlugin, apart from its loader.
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
    /// Limits that have another range and default.
    pub(crate) bounds: &'static [Bound],
    /// See [`Kind::reaches_every_host`].
    pub(crate) reaches_every_host: bool,
    /// What its `config` is, if that is not the vlugin's own affair.
    pub(crate) config: Option<&'static Object>,
    /// See [`Kind::runs`].
    pub(crate) runs: &'static str,
    /// See [`Kind::in_page`].
    pub(crate) in_page: InPage,
    /// See [`Kind::target`].
    pub(crate) target: Option<fn() -> &'static str>,
}

/// How a vlugin gets into the folder that a browser is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InPage {
    /// No browser runs it.
    Never,
    /// Its file is a WebAssembly module, which goes there as it is.
    Module,
    /// Its file is a script, which goes there in one file with all that it imports.
    Script,
    /// Its folder is copied.
    Folder,
}

impl KindRow {
    /// A kind with this word in plugins.json, and what it stands for: "a shared library".
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

    /// Words, in lower case, that are used for it elsewhere: for a hint.
    pub const fn elsewhere(mut self, words: &'static [&'static str]) -> Self {
        self.word.elsewhere = words;
        self
    }

    /// The keys and limits that it takes, among those that only some kinds take.
    pub const fn takes(mut self, keys: &'static [&'static str]) -> Self {
        self.takes = keys;
        self
    }

    /// The keys that it does not take, among those that most kinds take, each with why and what to do: "which is not
    /// built; give its file in `path`".
    pub const fn lacks(mut self, keys: &'static [(&'static str, &'static str)]) -> Self {
        self.lacks = keys;
        self
    }

    /// The keys that have to be there, among those that only some kinds need, each with what to write.
    pub const fn needs(mut self, keys: &'static [(&'static str, &'static str)]) -> Self {
        self.needs = keys;
        self
    }

    /// Where its vlugins run, as `/_plugins` says it.
    pub const fn runs(mut self, place: &'static str) -> Self {
        self.runs = place;
        self
    }
}

impl Kind {
    /// The kind that this row is of.
    pub const fn new(row: &'static KindRow) -> Self {
        Self(row)
    }

    /// The word in plugins.json.
    pub const fn as_str(self) -> &'static str {
        self.0.word.text
    }

    /// What is known of it.
    pub(crate) const fn row(self) -> &'static KindRow {
        self.0
    }

    /// Whether a vlugin of this kind reaches every host if its definition has no `allow`: code of this process could
    /// open any connection itself. The others reach none.
    pub(crate) const fn reaches_every_host(self) -> bool {
        self.0.reaches_every_host
    }

    /// What a package calls the code of a vlugin of this kind for this host: the target triple that it is built for,
    /// or `javascript`. `None` if no package holds such vlugins.
    pub fn target(self) -> Option<&'static str> {
        self.0.target.map(|target| target())
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
