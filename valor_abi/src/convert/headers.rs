//! A head's headers as `http_types` has them: a map from names to lists of values. Both
//! directions of the conversion fill theirs here.

use crate::{
    fault::Fault,
    http::{
        self, Headers,
        headers::{self, HeaderName},
    },
};

/// The sizes that a map of headers grows through, by doubling its table.
const SIZES: [usize; 3] = [7, 14, 28];

thread_local! {
    /// An empty map with room for each of [`SIZES`]. `http_types` has no way to ask for room, and
    /// a map that grows places every header anew, four times for fifteen; a copy of an empty map
    /// has its room.
    static EMPTY: [Headers; SIZES.len()] = SIZES.map(with_room);
}

fn with_room(size: usize) -> Headers {
    let mut message = http::Response::new(http::StatusCode::Ok);
    let headers: &mut Headers = message.as_mut();
    let names = || (0..size).map(|number| number.to_string());
    for name in names() {
        headers.insert(&*name, "");
    }
    for name in names() {
        headers.remove(&*name);
    }
    headers.clone()
}

/// Gives a message without headers room for this many.
fn reserve(count: usize, headers: &mut Headers) {
    let fits = SIZES.iter().position(|&size| count <= size);
    // Three need no more than a first table, and what comes to more than there are sizes grows.
    if count > 3 && headers.iter().next().is_none() {
        EMPTY.with(|empty| headers.clone_from(&empty[fits.unwrap_or(SIZES.len() - 1)]));
    }
}

/// Adds headers to those of a message, duplicates included.
///
/// # Errors
/// A fault of status 400 for a value that is not ASCII: `http_types` carries no other.
pub(super) fn fill<'a>(
    count: usize,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    message: &mut impl AsMut<Headers>,
) -> Result<(), Fault> {
    let message = message.as_mut();
    reserve(count, message);
    for (name, value) in fields {
        let bad = |what| {
            let name = name.escape_ascii();
            Fault::error(400, format!("the {what} of header {name} is not ASCII"))
        };
        let key = name_of(name).ok_or_else(|| bad("name"))?;
        // As a text: a `HeaderValue` would be copied once more, and one that is not ASCII panics.
        let value = std::str::from_utf8(value).ok().filter(|v| v.is_ascii());
        let value = value.ok_or_else(|| bad("value"))?;
        // `append` would look the name up first; this way only a second value costs that.
        if let Some(mut values) = message.insert(key, value) {
            if let Some(last) = name_of(name).and_then(|key| message.get_mut(key)) {
                values.append(last);
                *last = values;
            }
        }
    }
    Ok(())
}

/// The name that `http_types` has for one, which takes no memory, or a new one.
fn name_of(name: &[u8]) -> Option<HeaderName> {
    known(name).or_else(|| std::str::from_utf8(name).ok()?.parse().ok())
}

/// The names that most requests bear.
fn known(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"accept" => headers::ACCEPT,
        b"accept-encoding" => headers::ACCEPT_ENCODING,
        b"accept-language" => headers::ACCEPT_LANGUAGE,
        b"authorization" => headers::AUTHORIZATION,
        b"cache-control" => headers::CACHE_CONTROL,
        b"connection" => headers::CONNECTION,
        b"content-encoding" => headers::CONTENT_ENCODING,
        b"content-length" => headers::CONTENT_LENGTH,
        b"content-type" => headers::CONTENT_TYPE,
        b"cookie" => headers::COOKIE,
        b"date" => headers::DATE,
        b"etag" => headers::ETAG,
        b"forwarded" => headers::FORWARDED,
        b"host" => headers::HOST,
        b"if-match" => headers::IF_MATCH,
        b"if-modified-since" => headers::IF_MODIFIED_SINCE,
        b"if-none-match" => headers::IF_NONE_MATCH,
        b"last-modified" => headers::LAST_MODIFIED,
        b"location" => headers::LOCATION,
        b"origin" => headers::ORIGIN,
        b"pragma" => headers::PRAGMA,
        b"referer" => headers::REFERER,
        b"server" => headers::SERVER,
        b"set-cookie" => headers::SET_COOKIE,
        b"te" => headers::TE,
        b"transfer-encoding" => headers::TRANSFER_ENCODING,
        b"upgrade" => headers::UPGRADE,
        b"user-agent" => headers::USER_AGENT,
        b"vary" => headers::VARY,
        b"via" => headers::VIA,
        _ => return None,
    })
}
