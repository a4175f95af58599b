//! The parts of a file that a `Range` asks for (RFC 9110, section 14). `answer` asks. A request that is malformed, or
//! makes more trouble than it saves, gets the whole file.

use crate::RequestHead;

/// More parts than this are not sent one by one.
const MOST: usize = 16;

/// A part: its first byte, and how many there are; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ranges {
    /// All of the file, with status 200.
    Whole,
    /// These parts, at least one, in the order of the request.
    Parts(Vec<Part>),
    /// No part, because all of them lie behind the end. 416.
    Unsatisfiable,
}

/// The parts that a request's `Range` asks for, from a file of this length.
pub(super) fn of(head: &RequestHead, len: u64) -> Ranges {
    let mut lines = head.headers().filter(|(name, _)| *name == "range");
    let (Some((_, value)), None) = (lines.next(), lines.next()) else {
        return Ranges::Whole;
    };
    let set = value.split_at_checked(6);
    let Some((_, set)) = set.filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes=")) else {
        return Ranges::Whole;
    };
    let mut parts = Vec::new();
    let mut asked = 0;
    for spec in set.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
        if spec.is_empty() {
            continue;
        }
        asked += 1;
        let Some(part) = part(spec, len) else {
            return Ranges::Whole;
        };
        parts.extend(part);
        if asked > MOST {
            return Ranges::Whole;
        }
    }
    match parts.len() {
        _ if asked == 0 => Ranges::Whole,
        0 => Ranges::Unsatisfiable,
        _ if overlap(&parts) => Ranges::Whole,
        _ => Ranges::Parts(parts),
    }
}

/// `None` if it is malformed, `Some(None)` if it lies behind the end.
fn part(spec: &[u8], len: u64) -> Option<Option<Part>> {
    let dash = spec.iter().position(|&b| b == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if first.is_empty() {
        let suffix = number(last)?.min(len);
        let start = len - suffix;
        return Some((suffix > 0).then_some(Part { start, len: suffix }));
    }
    let start = number(first)?;
    let last = match last {
        [] => u64::MAX,
        last => number(last)?,
    };
    if last < start {
        return None;
    }
    let end = last.saturating_add(1).min(len);
    Some((start < end).then(|| Part {
        start,
        len: end - start,
    }))
}

/// Digits. A number that is too large for a file becomes the largest number.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |number: u64, digit: &u8| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    };
    Some(digits.iter().fold(0, digit))
}

fn overlap(parts: &[Part]) -> bool {
    let mut sorted: Vec<_> = parts.iter().collect();
    sorted.sort_by_key(|part| part.start);
    sorted
        .windows(2)
        .any(|pair| pair[0].start + pair[0].len > pair[1].start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(value: &str, len: u64) -> Ranges {
        let mut head = RequestHead::new("GET", "/").unwrap();
        head.push("range", value.as_bytes()).unwrap();
        of(&head, len)
    }

    #[test]
    fn parts() {
        for (value, parts) in [
            ("bytes=0-0", &[(0, 1)][..]),
            ("bytes=0-9", &[(0, 10)]),
            ("bytes=0-", &[(0, 10)]),
            ("bytes=5-", &[(5, 5)]),
            ("bytes=5-99999999999999999999999", &[(5, 5)]),
            ("bytes=-3", &[(7, 3)]),
            ("bytes=-99", &[(0, 10)]),
            ("BYTES=2-3", &[(2, 2)]),
            ("bytes=0-1,4-5", &[(0, 2), (4, 2)]),
            ("bytes=4-5 ,\t0-1,", &[(4, 2), (0, 2)]),
            ("bytes=,0-1,,2-3", &[(0, 2), (2, 2)]),
            ("bytes=0-1,50-60", &[(0, 2)]),
        ] {
            let parts = parts.iter().map(|&(start, len)| Part { start, len });
            assert_eq!(ranges(value, 10), Ranges::Parts(parts.collect()), "{value}");
        }
    }

    #[test]
    fn the_whole_or_nothing() {
        let many = (0..20).map(|at| format!("{at}-{at}")).collect::<Vec<_>>();
        for whole in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=3-2",
            "lines=0-1",
            "bytes 0-1",
            "bytes=0-1-2",
            "bytes=+1-2",
            "bytes=0 -1",
            "bytes=0x1-2",
            "bytes=0-1,x",
            "bytes=0-5,3-8",
            "bytes=0-,0-",
            "bytes=-5,-6",
            "bytes=0-1,0-1",
            &format!("bytes={}", many.join(",")),
        ] {
            assert_eq!(ranges(whole, 100), Ranges::Whole, "{whole}");
        }
        for none in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=99999999999999999999-",
            "bytes=10-,20-30",
        ] {
            assert_eq!(ranges(none, 10), Ranges::Unsatisfiable, "{none}");
        }
        for none in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(ranges(none, 0), Ranges::Unsatisfiable, "{none}");
        }
        let mut head = RequestHead::new("GET", "/").unwrap();
        assert_eq!(of(&head, 10), Ranges::Whole);
        head.push("range", b"bytes=0-1").unwrap();
        head.push("range", b"bytes=2-3").unwrap();
        assert_eq!(of(&head, 10), Ranges::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_file_and_apart(
            specs in prop::collection::vec(
                "([0-9]{1,3}|18446744073709551615)?-([0-9]{1,3}|18446744073709551615)?",
                0..20,
            ),
            len in 0u64..300,
        ) {
            if let Ranges::Parts(parts) = ranges(&format!("bytes={}", specs.join(",")), len) {
                prop_assert!(!parts.is_empty() && parts.len() <= MOST);
                let sum: u64 = parts.iter().map(|part| part.len).sum();
                prop_assert!(sum <= len);
                for part in parts {
                    prop_assert!(part.len > 0 && part.start + part.len <= len);
                }
            }
        }
    }
}
