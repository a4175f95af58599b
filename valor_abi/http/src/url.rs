//! The URL of a request: the only part of a head that `http_types` wants parsed. The conversion of requests calls it
//! once each; the host, which most of them share, is parsed once.

use http_types::Url;
use std::cell::RefCell;
use valor_abi_wire::{Fault, RequestHead};

thread_local! {
    /// The last host, as text and parsed. Most requests are for the same one, and parsing it (an IP address, a name
    /// with its Unicode rules) costs most.
    static LAST: RefCell<Option<(String, Url)>> = const { RefCell::new(None) };
}

/// Whether [`of`] makes a URL of it at any later time. The one that most requests have need not be made for that: a
/// path on the last host, of which [`of`] refuses none.
///
/// # Errors
/// Those of [`of`].
pub(crate) fn check(head: &RequestHead) -> Result<(), Fault> {
    let is_path = match head.target().as_bytes() {
        [b'/', b'/' | b'\\', ..] => false,
        target => target.starts_with(b"/"),
    };
    match is_path && LAST.with_borrow(|last| last.as_ref().is_some_and(|it| is_same(&it.0, head))) {
        true => Ok(()),
        false => of(head).map(drop),
    }
}

fn is_same(last: &str, head: &RequestHead) -> bool {
    // What was parsed is text; whether this is it too, its bytes say.
    let host = head.header("host").unwrap_or(b"localhost");
    last.strip_prefix(scheme_of(head)).map(str::as_bytes) == Some(host)
}

fn scheme_of(head: &RequestHead) -> &'static str {
    match head.is_https() {
        true => "https://",
        false => "http://",
    }
}

fn host_of(head: &RequestHead) -> &str {
    head.header_str("host").unwrap_or("localhost")
}

/// The target after scheme and host.
///
/// # Errors
/// A fault of status 400.
pub(crate) fn of(head: &RequestHead) -> Result<Url, Fault> {
    let target = head.target();
    let bad = |error| Fault::error(400, format!("the target {target} is not a URL: {error}"));
    if !target.starts_with('/') && target.contains("://") {
        return Url::parse(target).map_err(bad);
    }
    let (scheme, host) = (scheme_of(head), host_of(head));
    match target.as_bytes() {
        // After two slashes a host would follow, and a backslash counts as a slash.
        [b'/', b'/' | b'\\', ..] => {}
        [b'/', ..] => return on_host(scheme, host, target)?.map_err(bad),
        _ => {}
    }
    check_host(host)?;
    let slash = if target.starts_with('/') { "" } else { "/" };
    Url::parse(&[scheme, host, slash, target].concat()).map_err(bad)
}

/// A path and a query on a host.
fn on_host(
    scheme: &str,
    host: &str,
    path: &str,
) -> Result<Result<Url, http_types::url::ParseError>, Fault> {
    LAST.with_borrow_mut(|last| {
        match last {
            Some((text, base)) if text.strip_prefix(scheme) == Some(host) => {
                return Ok(Url::options().base_url(Some(base)).parse(path));
            }
            _ => {}
        }
        check_host(host)?;
        let text = [scheme, host].concat();
        Ok(Url::parse(&text).and_then(|base| {
            let url = Url::options().base_url(Some(&base)).parse(path);
            *last = Some((text, base));
            url
        }))
    })
}

/// Refuses text that would move the border between host and path.
fn check_host(host: &str) -> Result<(), Fault> {
    let moves = |c: char| c.is_ascii_control() || " /\\?#@".contains(c);
    match host.is_empty() || host.contains(moves) {
        true => Err(Fault::error(400, format!("`{host}` is not a host"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(host: &str, target: &str, https: bool) -> RequestHead {
        let mut head = RequestHead::new("GET", target).unwrap();
        head.push("host", host.as_bytes()).unwrap();
        head.set_https(https);
        head
    }

    proptest! {
        #[test]
        fn a_host_that_was_seen_before_changes_nothing(
            hosts in prop::collection::vec("[a-zA-Z.]{1,6}(:[0-9]{1,4})?|127\\.0\\.0\\.1(:80)?|\\[::1\\]:81|ä", 1..4),
            targets in prop::collection::vec("/[!-~]{0,20}|/[./a%2e\\\\:]{0,20}|[a-z*]{1,9}", 1..12),
            https: bool,
        ) {
            for (target, host) in targets.iter().zip(hosts.iter().cycle()) {
                let slash = if target.starts_with('/') { "" } else { "/" };
                let scheme = if https { "https" } else { "http" };
                let whole = Url::parse(&format!("{scheme}://{host}{slash}{target}")).ok();
                let head = head(host, target, https);
                // What passes now can be made later.
                prop_assert_eq!(super::check(&head).is_ok(), whole.is_some(), "{} {}", host, target);
                prop_assert_eq!(of(&head).ok(), whole, "{} {}", host, target);
            }
        }
    }
}
