//! The values that `check` looks at: a [`Cursor`] is a value of a text (`json`), which has a position, or a value of a
//! definition made in code (`made`). The same code checks both against the same rows.

use std::borrow::Cow;

/// A value, whatever it is part of.
pub(crate) trait Cursor: Clone {
    /// The byte of the text where it begins; 0 if there is no text.
    fn at(&self) -> usize;
    /// Its JSON type, with an article: "a string".
    fn kind(&self) -> &'static str;
    /// The value, for a message.
    fn shown(&self) -> String;
    /// The value, if it is a string.
    fn text(&self) -> Option<Cow<'_, str>>;
    /// The value, if it is true or false.
    fn flag(&self) -> Option<bool>;
    /// The value, if it is a number.
    fn number(&self) -> Option<f64>;
    /// The value, if it is a number without a fraction and a sign.
    fn whole(&self) -> Option<u64>;
    /// Its elements, if it is an array.
    fn array(&self) -> Option<Vec<Self>>;
    /// Its entries, if it is an object; a key that is there twice comes twice.
    fn object(&self) -> Option<Vec<Entry<Self>>>;
}

/// A key of an object, and its value.
pub(crate) struct Entry<C> {
    pub key: String,
    /// The byte of the key's opening quote; 0 if there is no text.
    pub key_at: usize,
    pub value: C,
}
