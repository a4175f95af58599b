//! Why bytes are not a head. `fields`, `rules` and the heads themselves fail with it.

/// Why bytes are not a head, or why something does not fit into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The block is shorter than its own lengths say, or has bytes left over.
    #[error("the head is {actual} bytes long, but its lengths add up to {expected}")]
    Length {
        /// What the lengths inside add up to, as far as they could be read.
        expected: usize,
        /// The length of the block.
        actual: usize,
    },
    /// The first byte is of another kind than was asked for.
    #[error("the head is of kind {0}, which is not the one expected here")]
    Kind(u8),
    /// The method is empty, too long or not a token.
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// The target is empty or has control characters or spaces in it.
    #[error("the request target has a character that cannot stand in one")]
    Target,
    /// The status is outside of 100 to 599.
    #[error("{0} is not an HTTP status")]
    Status(u16),
    /// A header's name is empty, too long or not a token.
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    /// A header's value has CR, LF or NUL in it.
    #[error("the value of header `{0}` has a line break or NUL in it")]
    HeaderValue(String),
    /// There are more headers than a head can count.
    #[error("a head carries at most {} headers", u16::MAX)]
    TooManyHeaders,
}
