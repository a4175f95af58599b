//! Why bytes are not a head. `fields`, `rules` and the heads themselves return it.

/// Why bytes are not a head, or why something does not fit into one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The block is shorter than its own lengths say, or has bytes left over.
    #[error("the head is {actual} bytes long, but its lengths add up to {expected}")]
    Length {
        /// The sum of the lengths inside, as far as they could be read.
        expected: usize,
        /// The length of the block.
        actual: usize,
    },
    /// The first byte is not that of the requested kind.
    #[error("the head is of kind {0}, which is not the one expected here")]
    Kind(u8),
    /// The method is empty, too long or not a token.
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    /// The target is empty or contains control characters or spaces.
    #[error("the request target has a character that is not allowed there")]
    Target,
    /// The status is outside 100 to 599.
    #[error("{0} is not an HTTP status")]
    Status(u16),
    /// A header's name is empty, too long or not a token.
    #[error("`{0}` is not a header name")]
    HeaderName(String),
    /// A header's value contains CR, LF or NUL.
    #[error("the value of header `{0}` has a line break or NUL in it")]
    HeaderValue(String),
    /// There are more headers than a head can count.
    #[error("a head carries at most {} headers", u16::MAX)]
    TooManyHeaders,
}
