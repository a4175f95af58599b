//! Parses and checks the values of options: numbers, times, sizes, filters of the log. clap shows each error after the
//! option's name.

use std::time::Duration;

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        _ => Err("expected a whole number, 1 to 1000000".into()),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>();
    number
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds above 0, at most 86400".into())
}

/// A vlugin's name, held to the rule of plugins.json.
pub(super) fn name(text: &str) -> Result<String, String> {
    match valor_runtime::definition::broken_name(text) {
        Some(fault) => Err(fault),
        None => Ok(text.to_owned()),
    }
}

/// A text that a template puts between quotes in a Cargo.toml, a JSON or a comment.
pub(super) fn quotable(text: &str) -> Result<String, String> {
    let bad = |c: &char| matches!(c, '"' | '\\') || c.is_control();
    match text.chars().find(bad) {
        _ if text.is_empty() => Err("expected at least one character".into()),
        Some('\\') => Err("`\\` is not allowed; in a path, write `/`".into()),
        Some(c) => Err(format!("{c:?} is not allowed; leave it out")),
        None => Ok(text.to_owned()),
    }
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let expected = "expected a size such as 65536, 512KiB, 10MiB or 1GiB: 1 byte to 1TiB";
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(expected.into()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .filter(|bytes| (1..=1 << 40).contains(bytes))
        .ok_or_else(|| expected.into())
}

/// Judges a filter before env_logger gets it, which takes any word for a target.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    for part in text.split(',') {
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, part),
        };
        if target.is_some_and(|target| target.trim().is_empty()) {
            return Err(format!(
                "a target comes before `=`, as in hyper=warn, not `{part}`"
            ));
        }
        if level.parse::<log::LevelFilter>().is_err() {
            let hint = match valor_runtime::definition::nearest(level, levels) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "write off, error, warn, info, debug or trace, or TARGET=LEVEL".into(),
            };
            return Err(format!("`{level}` is not a level; {hint}"));
        }
    }
    Ok(text.to_owned())
}
