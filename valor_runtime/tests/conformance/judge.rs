//! Whether a host's answer is what a conversation expects. One judge for all hosts.

use super::{
    hosts::Outcome,
    suite::{Bytes, Expect},
};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// How an outcome differs from what is expected.
pub fn differences(outcome: &Outcome, expect: &Expect, left: bool) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(text) = &expect.meanwhile {
        match outcome.meanwhile.as_deref() {
            Some(Outcome { status, body, .. }) if status == "200" && *body == text.as_bytes() => {}
            Some(other) => all.push(format!("meanwhile: {}", shown(other))),
            None => all.push("nothing came meanwhile".into()),
        }
    }
    if let Some(error) = &outcome.failed {
        if !left {
            all.push(format!("no response: {error}"));
        }
        return all;
    }
    if let Some(status) = &expect.status {
        let wanted = status.as_str().map_or(status.to_string(), str::to_owned);
        if outcome.status != wanted {
            all.push(format!("{} instead of {wanted}", shown(outcome)));
        }
    }
    for (name, wanted) in &expect.headers {
        let found = outcome.headers.get(name);
        let right = match (found, wanted) {
            (None, None) => true,
            (Some(found), Some(wanted)) => is_like(found, wanted),
            _ => false,
        };
        if !right {
            all.push(format!("{name}: {found:?} instead of {wanted:?}"));
        }
    }
    let whole = match &expect.broken {
        Some(before) => {
            if outcome.broken.is_none() {
                all.push("its body is whole".into());
            }
            Some(before)
        }
        None => {
            if let Some(error) = outcome.broken.as_ref().filter(|_| !left) {
                all.push(format!("its body broke off: {error}"));
            }
            expect.body.as_ref()
        }
    };
    if let Some(wanted) = whole {
        all.extend(of_body(&outcome.body, wanted));
    }
    if let Some(wanted) = &expect.json {
        match serde_json::from_slice(&outcome.body) {
            Ok(found) => all.extend(of_json(&found, wanted, "")),
            Err(error) => all.push(format!("{}: not JSON: {error}", shown(outcome))),
        }
    }
    if let Some(other) = &expect.body_not
        && outcome.body == other.as_bytes()
    {
        all.push(format!("{other} again"));
    }
    if let Some(near) = expect.near_now_ms {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a time after 1970").as_millis() as u64;
        let found = String::from_utf8_lossy(&outcome.body).parse::<u64>();
        if !found.as_ref().is_ok_and(|found| found.abs_diff(now) < near) {
            all.push(format!("{found:?} at {now}"));
        }
    }
    if let Some(url) = &expect.url
        && *url != outcome.url
    {
        all.push(format!("ended at {} instead of {url}", outcome.url));
    }
    if let Some(least) = expect.at_least_ms
        && outcome.ms < least
    {
        all.push(format!("answered after {} ms already", outcome.ms));
    }
    all
}

fn of_body(found: &[u8], wanted: &Bytes) -> Option<String> {
    let right = match (wanted, std::str::from_utf8(found)) {
        (Bytes::Text(wanted), Ok(found)) => is_like(found, wanted),
        _ => found == wanted.to_vec(),
    };
    let wanted = match wanted {
        Bytes::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    (!right).then(|| format!("the body {} instead of {wanted}", cut(found)))
}

/// Objects may have more keys than expected. Everything else has to be equal.
fn of_json(found: &Value, wanted: &Value, at: &str) -> Vec<String> {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .flat_map(|(key, wanted)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                of_json(found, wanted, &format!("{at}/{key}"))
            })
            .collect(),
        (Value::Array(found), Value::Array(wanted)) if found.len() == wanted.len() => {
            let both = found.iter().zip(wanted).enumerate();
            both.flat_map(|(index, (found, wanted))| {
                of_json(found, wanted, &format!("{at}/{index}"))
            })
            .collect()
        }
        (Value::String(found), Value::String(wanted)) if is_like(found, wanted) => Vec::new(),
        // 30 and 30.0 are one number in JSON, and two in Rust.
        (Value::Number(found), Value::Number(wanted)) if found.as_f64() == wanted.as_f64() => {
            Vec::new()
        }
        _ if found == wanted => Vec::new(),
        _ => vec![format!("{at}: {found} instead of {wanted}")],
    }
}

/// Whether a text matches a pattern with `[..]`, `[id]` and `[number]`.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let marks = ["[..]", "[id]", "[number]"];
    let first = marks
        .iter()
        .filter_map(|mark| Some((pattern.find(mark)?, *mark)));
    let Some((at, mark)) = first.min() else {
        return text == pattern;
    };
    let Some(rest) = text.strip_prefix(&pattern[..at]) else {
        return false;
    };
    let pattern = &pattern[at + mark.len()..];
    let digits = |is: fn(&u8) -> bool| rest.bytes().take_while(is).count();
    match mark {
        "[id]" => {
            digits(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) >= 32
                && is_like(&rest[32..], pattern)
        }
        "[number]" => {
            let end = digits(u8::is_ascii_digit);
            end > 0 && is_like(&rest[end..], pattern)
        }
        _ => rest
            .char_indices()
            .map(|(at, _)| at)
            .chain([rest.len()])
            .any(|at| is_like(&rest[at..], pattern)),
    }
}

fn shown(outcome: &Outcome) -> String {
    match &outcome.failed {
        Some(error) => format!("no response ({error})"),
        None => format!("{} ({})", outcome.status, cut(&outcome.body)),
    }
}

fn cut(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(300).collect();
    match bytes.len() {
        len @ 301.. => format!("`{text}…` ({len} bytes)"),
        _ => format!("`{text}`"),
    }
}

#[test]
fn patterns() {
    for (text, pattern, like) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a[..]", true),
        ("abc", "[..]b[..]", true),
        ("abc", "[..]d[..]", false),
        ("id 17.", "id [number].", true),
        ("id .", "id [number].", false),
        ("0123456789abcdef0123456789abcdef", "[id]", true),
        ("0123456789ABCDEF0123456789ABCDEF", "[id]", false),
        ("0123456789abcdef0123456789abcdef0", "[id]", false),
        ("0123", "[id]", false),
    ] {
        assert_eq!(is_like(text, pattern), like, "{text} {pattern}");
    }
}
