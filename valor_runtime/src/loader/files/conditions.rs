//! The conditions of a request (RFC 9110, section 13), and the `ETag` and `Last-Modified` of a file that they refer
//! to. `answer` asks before it sends anything.

use super::{
    identity::{Identity, STEP},
    versions::Hash,
};
use crate::RequestHead;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What tells one state of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// Its `ETag`: strong if it is made from the file's bytes, weak if it is made from its times. None if the file has
    /// no time.
    pub(super) etag: Option<String>,
    /// Its `Last-Modified`, in whole seconds, if HTTP can say it.
    pub(super) modified: Option<SystemTime>,
}

/// The properties of a file that its validators are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) identity: Option<Identity>,
    /// The hash of its bytes, if they were hashed.
    pub(super) hash: Option<Hash>,
}

/// What the conditions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As if there were none.
    Send,
    /// The client has it: 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators {
    pub(super) fn of(file: Seen, now: SystemTime) -> Self {
        let etag = match file.hash {
            Some(hash) => Some(format!("\"{:032x}\"", u128::from_be_bytes(hash))),
            None => weak(file, now),
        };
        Self {
            etag,
            // A time in the future would be a lie (RFC 9110, section 8.8.2.1).
            modified: file
                .modified
                .and_then(|modified| in_seconds(modified.min(now))),
        }
    }

    /// Judges the conditions that come before the answer, in the order of section 13.2.2.
    pub(super) fn evaluate(&self, head: &RequestHead) -> Verdict {
        if let Some(tags) = tags(head, "if-match") {
            if !self.is_among(&tags, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let (Some(date), Some(modified)) =
            (date(head, "if-unmodified-since"), self.modified)
            && modified > date
        {
            return Verdict::Failed;
        }
        if let Some(tags) = tags(head, "if-none-match") {
            if self.is_among(&tags, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let (Some(date), Some(modified)) =
            (date(head, "if-modified-since"), self.modified)
            && modified <= date
        {
            return Verdict::NotModified;
        }
        Verdict::Send
    }

    /// Whether a `Range` applies: there is no `If-Range`, or it names this state.
    pub(super) fn range_applies(&self, head: &RequestHead) -> bool {
        let Some(value) = head.header("if-range") else {
            return true;
        };
        // Only equal strong validators show that the bytes are the same (section 13.1.5). A date does not: another
        // file with the same date may have taken its place.
        value.starts_with(b"\"") && self.etag.as_deref().map(str::as_bytes) == Some(value)
    }

    fn is_among(&self, tags: &[u8], comparison: Comparison) -> bool {
        if tags.trim_ascii() == b"*" {
            return true;
        }
        let Some(own) = &self.etag else { return false };
        let (own_is_weak, own) = match own.strip_prefix("W/") {
            Some(own) => (true, own),
            None => (false, own.as_str()),
        };
        each_tag(tags).any(|(is_weak, tag)| {
            tag == own.as_bytes() && (comparison == Comparison::Weak || !is_weak && !own_is_weak)
        })
    }
}

/// Section 8.8.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// A weak tag made from a file's times and length. These include the time of the last change, which no program can
/// set, because a folder may be replaced by one with the same names and times.
fn weak(file: Seen, now: SystemTime) -> Option<String> {
    let modified = file.modified?;
    let changed = file.identity.and_then(|it| it.changed());
    let last = changed.map_or(modified, |changed| changed.max(modified));
    let is_settled = now.duration_since(last).is_ok_and(|since| since >= STEP);
    let times = match changed {
        Some(changed) => format!("{:x}-{:x}", nanos(modified), nanos(changed)),
        None => format!("{:x}", nanos(modified)),
    };
    // The text differs while the file is new. So what was sent in doubt is not confirmed later.
    let new = if is_settled { "" } else { "-new" };
    Some(format!("W/\"{times}-{:x}{new}\"", file.len))
}

fn nanos(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

/// The time in whole seconds, if it makes an HTTP date.
fn in_seconds(time: SystemTime) -> Option<SystemTime> {
    /// The end of the year 9999.
    const END: u64 = 253_402_300_800;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds < END).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn date(head: &RequestHead, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(head.header_str(name)?.trim()).ok()
}

/// All lines of a header of entity-tags, as one.
fn tags(head: &RequestHead, name: &str) -> Option<Vec<u8>> {
    let mut lines = head.headers().filter(|(it, _)| *it == name);
    let mut tags = lines.next()?.1.to_vec();
    for (_, line) in lines {
        tags.push(b',');
        tags.extend_from_slice(line);
    }
    Some(tags)
}

/// The entity-tags of a list with their quotes, each with whether it is weak. The list ends at the first thing that is
/// not an entity-tag.
fn each_tag(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let start = list.iter().position(|b| !b", \t".contains(b))?;
        let (is_weak, quoted) = match list[start..].strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, &list[start..]),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&b| b == b'"')? + 2;
        let (tag, rest) = quoted.split_at(end);
        list = rest;
        Some((is_weak, tag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG_AGO: u64 = 1_000_000_000;
    const DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
    const BEFORE: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
    const AFTER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A file of this time, hashed or not.
    fn file(modified: Option<SystemTime>, hash: Option<Hash>) -> Seen {
        Seen {
            len: 5,
            modified,
            identity: None,
            hash,
        }
    }

    /// A file that was hashed.
    fn old() -> Validators {
        // Half a second more than the date can express.
        let modified = at(LONG_AGO) + Duration::from_millis(500);
        Validators::of(file(Some(modified), Some([0xab; 16])), at(2 * LONG_AGO))
    }

    /// A file that was not hashed.
    fn large() -> Validators {
        Validators::of(file(Some(at(LONG_AGO)), None), at(2 * LONG_AGO))
    }

    fn fresh() -> Validators {
        Validators::of(file(Some(at(LONG_AGO)), None), at(LONG_AGO + 1))
    }

    fn head(headers: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new("GET", "/").unwrap();
        for (name, value) in headers {
            head.push(name, value.as_bytes()).unwrap();
        }
        head
    }

    #[test]
    fn what_tells_states_apart() {
        assert_eq!(old().etag, Some(format!("\"{}\"", "ab".repeat(16))));
        assert_eq!(old().modified, Some(at(LONG_AGO)));
        let weak = large().etag.unwrap();
        assert!(weak.starts_with("W/\"") && weak.ends_with("-5\""), "{weak}");
        let weak = fresh().etag.unwrap();
        assert!(
            weak.starts_with("W/\"") && weak.ends_with("-5-new\""),
            "{weak}"
        );

        let of = |modified| Validators::of(file(modified, None), at(LONG_AGO));
        assert_eq!((of(None).etag, of(None).modified), (None, None));
        let to_come = of(Some(at(LONG_AGO + 9)));
        assert_eq!(to_come.modified, Some(at(LONG_AGO)));
        assert!(to_come.etag.unwrap().starts_with("W/"));
        let before_the_epoch = of(UNIX_EPOCH.checked_sub(Duration::from_secs(9)));
        assert_eq!(before_the_epoch.modified, None);
        assert!(before_the_epoch.etag.is_some());
        let late = at(400_000_000_000);
        assert_eq!(Validators::of(file(Some(late), None), late).modified, None);
    }

    #[test]
    fn conditions_in_their_order() {
        use Verdict::{Failed, NotModified, Send};
        let etag = &*old().etag.unwrap();
        let weak = &*format!("W/{etag}");
        let list = &*format!("\"a,b\" , W/\"c\",, {etag}");
        let broken = &*format!("nonsense, {etag}");
        for (headers, verdict) in [
            (&[][..], Send),
            (&[("if-match", etag)], Send),
            (&[("if-match", list)], Send),
            (&[("if-match", "*")], Send),
            (&[("if-match", weak)], Failed),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-match", "\"x\""), ("if-match", etag)], Send),
            (&[("if-match", broken)], Failed),
            (&[("if-unmodified-since", DATE)], Send),
            (&[("if-unmodified-since", AFTER)], Send),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", "yesterday")], Send),
            // If-Match stands before If-Unmodified-Since.
            (&[("if-unmodified-since", BEFORE), ("if-match", etag)], Send),
            (&[("if-none-match", etag)], NotModified),
            (&[("if-none-match", weak)], NotModified),
            (&[("if-none-match", list)], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\"")], Send),
            (&[("if-none-match", broken)], Send),
            (&[("if-modified-since", DATE)], NotModified),
            (&[("if-modified-since", AFTER)], NotModified),
            (&[("if-modified-since", BEFORE)], Send),
            (&[("if-modified-since", "0")], Send),
            (
                &[("if-modified-since", "Sunday, 09-Sep-01 01:46:40 GMT")],
                NotModified,
            ),
            (
                &[("if-modified-since", "Sun Sep  9 01:46:40 2001")],
                NotModified,
            ),
            // If-None-Match stands before If-Modified-Since.
            (
                &[("if-modified-since", DATE), ("if-none-match", "\"x\"")],
                Send,
            ),
            (
                &[("if-modified-since", BEFORE), ("if-none-match", etag)],
                NotModified,
            ),
            // What fails first, fails.
            (&[("if-match", "\"x\""), ("if-none-match", etag)], Failed),
            (&[("if-match", etag), ("if-none-match", etag)], NotModified),
            (
                &[("if-unmodified-since", BEFORE), ("if-modified-since", DATE)],
                Failed,
            ),
        ] {
            assert_eq!(old().evaluate(&head(headers)), verdict, "{headers:?}");
        }
    }

    #[test]
    fn what_was_sent_in_doubt_is_not_confirmed() {
        let etag = fresh().etag.unwrap();
        assert_eq!(
            fresh().evaluate(&head(&[("if-match", &etag)])),
            Verdict::Failed
        );
        assert_eq!(
            large().evaluate(&head(&[("if-none-match", &etag)])),
            Verdict::Send
        );
    }

    #[test]
    fn when_a_range_applies() {
        let etag = &*old().etag.unwrap();
        let weak = &*format!("W/{etag}");
        for (value, applies) in [
            (etag, true),
            (weak, false),
            ("\"x\"", false),
            (DATE, false),
            (BEFORE, false),
            (AFTER, false),
            ("*", false),
        ] {
            let head = head(&[("if-range", value)]);
            assert_eq!(old().range_applies(&head), applies, "{value}");
            assert!(!fresh().range_applies(&head), "{value}");
        }
        for weak in [fresh(), large()] {
            assert!(weak.range_applies(&head(&[])));
            let etag = weak.etag.clone().unwrap();
            assert!(!weak.range_applies(&head(&[("if-range", &etag)])));
        }
    }
}
