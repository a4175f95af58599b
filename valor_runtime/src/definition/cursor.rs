//! What `check` looks at: a [`Cursor`] is a value of a text (`json`), which knows where it stands, or one of a definition
//! made in code (`made`). Both are held to the same rows by the same code.

use std::borrow::Cow;

/// A value, whatever it is a part of.
pub(crate) trait Cursor: Clone {
    /// The byte of the text that it begins at; 0 if there is no text.
    fn at(&self) -> usize;
    /// What kind of value it is, with its article: "a string".
    fn kind(&self) -> &'static str;
    /// It, for a message.
    fn shown(&self) -> String;
    /// It, if it is a string.
    fn text(&self) -> Option<Cow<'_, str>>;
    /// It, if it is true or false.
    fn flag(&self) -> Option<bool>;
    /// It, if it is a number.
    fn number(&self) -> Option<f64>;
    /// It, if it is a number without a fraction and a sign.
    fn whole(&self) -> Option<u64>;
    /// Its elements, if it is an array.
    fn array(&self) -> Option<Vec<Self>>;
    /// Its entries, if it is an object; a key that is there twice comes twice.
    fn object(&self) -> Option<Vec<Entry<Self>>>;
}

/// A key of an object with its value.
pub(crate) struct Entry<C> {
    pub key: String,
    /// The byte that the key's opening quote stands at; 0 if there is no text.
    pub key_at: usize,
    pub value: C,
}
