//! The headers of a head for `http_types`: a map from names to lists of values. Both directions of the conversion use
//! it.

use http_types::{
    self as http, Headers,
    headers::{self, HeaderName, HeaderValue, ToHeaderValues},
};
use std::{cell::Cell, option};
use valor_abi_guest::ascii;
use valor_abi_wire::Fault;

/// The sizes that a map of headers grows through, by doubling its table.
const SIZES: [usize; 3] = [7, 14, 28];

thread_local! {
    /// An empty map with room for each of [`SIZES`]. `http_types` cannot reserve room, and a growing map places every
    /// header again, four times for fifteen of them; a copy of an empty map keeps its room.
    static EMPTY: [Headers; SIZES.len()] = SIZES.map(with_room);
}

fn with_room(size: usize) -> Headers {
    let mut message = http::Response::new(http::StatusCode::Ok);
    let headers: &mut Headers = message.as_mut();
    for name in &KNOWN[..size] {
        headers.insert(name, &[][..]);
    }
    for name in &KNOWN[..size] {
        headers.remove(name);
    }
    headers.clone()
}

/// Gives a message without headers room for this many.
fn reserve(count: usize, headers: &mut Headers) {
    let fits = SIZES.iter().position(|&size| count <= size);
    // Three fit in a first table, and more than the largest size grows.
    if count > 3 && headers.iter().next().is_none() {
        EMPTY.with(|empty| headers.clone_from(&empty[fits.unwrap_or(SIZES.len() - 1)]));
    }
}

/// A value that `http_types` accepts without parsing. It parses a value that comes as a text, and panics if that fails;
/// the panic's text takes 25 KB of code in a WebAssembly module.
struct Taken(Cell<Option<HeaderValue>>);

impl ToHeaderValues for Taken {
    type Iter = option::IntoIter<HeaderValue>;

    fn to_header_values(&self) -> http::Result<Self::Iter> {
        Ok(self.0.take().into_iter())
    }
}

/// Whether `http_types` can carry these headers: names and values are ASCII. `block` is the head that they are in.
///
/// # Errors
/// A fault of status 400, as that of [`fill`].
pub(crate) fn check<'a>(
    block: &[u8],
    mut fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<(), Fault> {
    // Mostly all of it is, with the lengths in it, and one look is enough.
    let sound = |(name, value): &(&[u8], &[u8])| name.is_ascii() && value.is_ascii();
    match block.is_ascii() {
        true => Ok(()),
        false => match fields.find(|field| !sound(field)) {
            Some((name, _)) if name.is_ascii() => Err(bad("value", name)),
            Some((name, _)) => Err(bad("name", name)),
            None => Ok(()),
        },
    }
}

fn bad(what: &str, name: &[u8]) -> Fault {
    let name = name.escape_ascii();
    Fault::error(400, format!("the {what} of header {name} is not ASCII"))
}

/// Adds headers to those of a message, duplicates included.
///
/// # Errors
/// A fault of status 400 for a value that is not ASCII: `http_types` carries no other.
pub(crate) fn fill<'a>(
    count: usize,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    message: &mut impl AsMut<Headers>,
) -> Result<(), Fault> {
    let message = message.as_mut();
    reserve(count, message);
    for (name, value) in fields {
        let key = name_of(name).ok_or_else(|| bad("name", name))?;
        let value = taken(value).ok_or_else(|| bad("value", name))?;
        // `append` would look up the name first; this way only a second value costs that.
        if let Some(mut values) = message.insert(key, value) {
            if let Some(last) = name_of(name).and_then(|key| message.get_mut(key)) {
                values.append(last);
                *last = values;
            }
        }
    }
    Ok(())
}

/// Adds a header, unless `http_types` can carry no such name or value.
pub(crate) fn append(name: &[u8], value: &[u8], headers: &mut Headers) {
    if let (Some(name), Some(value)) = (name_of(name), taken(value)) {
        headers.append(name, value);
    }
}

fn taken(value: &[u8]) -> Option<Taken> {
    Some(Taken(Cell::new(Some(value_of(value)?))))
}

/// The value; `None` if it is not ASCII.
pub(crate) fn value_of(value: &[u8]) -> Option<HeaderValue> {
    ascii::value(value)
}

/// The name that `http_types` already has for it, which allocates nothing, or a new one.
fn name_of(name: &[u8]) -> Option<HeaderName> {
    known(name).or_else(|| ascii::name(name))
}

/// The names that most requests have, shorter ones first.
static KNOWN: [HeaderName; 30] = [
    headers::TE,
    headers::VIA,
    headers::DATE,
    headers::ETAG,
    headers::HOST,
    headers::VARY,
    headers::ACCEPT,
    headers::COOKIE,
    headers::ORIGIN,
    headers::PRAGMA,
    headers::SERVER,
    headers::REFERER,
    headers::UPGRADE,
    headers::IF_MATCH,
    headers::LOCATION,
    headers::FORWARDED,
    headers::CONNECTION,
    headers::SET_COOKIE,
    headers::USER_AGENT,
    headers::CONTENT_TYPE,
    headers::AUTHORIZATION,
    headers::CACHE_CONTROL,
    headers::IF_NONE_MATCH,
    headers::LAST_MODIFIED,
    headers::CONTENT_LENGTH,
    headers::ACCEPT_ENCODING,
    headers::ACCEPT_LANGUAGE,
    headers::CONTENT_ENCODING,
    headers::IF_MODIFIED_SINCE,
    headers::TRANSFER_ENCODING,
];

/// The length of the longest name of [`KNOWN`].
const LONGEST: usize = 17;

/// Where the names of each length begin in [`KNOWN`].
static BEGIN: [u8; LONGEST + 2] = [
    0, 0, 0, 1, 2, 6, 6, 11, 13, 15, 16, 19, 19, 20, 24, 25, 27, 28, 30,
];

fn known(name: &[u8]) -> Option<HeaderName> {
    let (from, to) = (BEGIN.get(name.len())?, BEGIN.get(name.len() + 1)?);
    let mut same_length = KNOWN[usize::from(*from)..usize::from(*to)].iter();
    same_length
        .find(|known| known.as_str().as_bytes() == name)
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_where_its_length_begins() {
        for len in 0..=LONGEST {
            let names = &KNOWN[usize::from(BEGIN[len])..usize::from(BEGIN[len + 1])];
            assert!(names.iter().all(|name| name.as_str().len() == len), "{len}");
        }
        for name in &KNOWN {
            assert_eq!(known(name.as_str().as_bytes()).as_ref(), Some(name));
        }
        for name in ["", "x", "hosT", "x-forwarded-prefix", "transfer-encodinG"] {
            assert_eq!(known(name.as_bytes()), None, "{name}");
        }
    }
}
