//! Requests as lines of a text log: brief, for people, or in the combined format, for tools that read it. `logging`
//! writes their records; in JSON they are records like any other.

use super::shown;
use anstyle::{AnsiColor, Style};
use log::{Record, kv::Key};
use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A request for people: `GET /hello 200 hello_plugin 0.213ms 7f3a…`.
pub fn push_brief(line: &mut String, record: &Record<'_>, colours: bool) {
    let pairs = record.key_values();
    let get = |key: &str| pairs.get(Key::from(key)).unwrap_or_else(|| "".into());
    let status = get("status").to_u64().unwrap_or_default();
    let style = match (colours, status) {
        (false, _) => Style::new(),
        (true, 200..=399) => AnsiColor::Green.on_default(),
        (true, 400..=499) => AnsiColor::Yellow.on_default(),
        (true, _) => AnsiColor::Red.on_default(),
    };
    let vlugin = get("vlugin");
    let nobody = vlugin.to_borrowed_str() == Some("");
    let vlugin = if nobody { "-".into() } else { vlugin };
    let micros = get("duration_us").to_u64().unwrap_or_default();
    let millis = Duration::from_micros(micros).as_secs_f64() * 1000.0;
    let _ = write!(shown(line), "{} {} ", get("method"), get("path"));
    let _ = write!(line, "{style}{status}{style:#} ");
    let _ = write!(shown(line), "{vlugin} {millis:.3}ms {}", get("id"));
    if get("complete").to_bool() == Some(false) {
        line.push_str(" cut short");
    }
}

/// A request that failed, with the reason:
/// `GET /greet failed with 500 in `greet` after 0.213ms: it panicked: no such thing (id 7f3a…)`.
/// Returns whether it did.
pub fn push_failure(line: &mut String, record: &Record<'_>) -> bool {
    let pairs = record.key_values();
    let get = |key: &str| pairs.get(Key::from(key)).unwrap_or_else(|| "".into());
    let status = get("status").to_u64().unwrap_or_default();
    let reason = get("reason");
    let reason = reason.to_borrowed_str();
    if status < 500 && reason.is_none() {
        return false;
    }
    let reason = reason.unwrap_or("it answered so itself");
    let millis = Duration::from_micros(get("duration_us").to_u64().unwrap_or_default());
    let _ = write!(
        shown(line),
        "{} {} failed with {status} in `{}` after {:.3}ms: {reason} (id {})",
        get("method"),
        get("path"),
        get("vlugin"),
        millis.as_secs_f64() * 1000.0,
        get("id")
    );
    true
}

/// A request in the combined log format of Apache and nginx:
/// `203.0.113.9 - - [29/Nov/2026:10:14:38 +0000] "GET /hello?x HTTP/1.1" 200 25 "-" "curl/8.5.0"`.
pub fn combined(now: SystemTime, record: &Record<'_>) -> String {
    let pairs = record.key_values();
    let text = |key: &str| {
        let value = pairs.get(Key::from(key))?;
        Some(value.to_borrowed_str()?.to_owned())
    };
    let number = |key: &str| {
        pairs
            .get(Key::from(key))
            .and_then(|it| it.to_u64())
            .unwrap_or_default()
    };
    // The address without its port; a client of a Unix socket has none.
    let peer = text("peer").filter(|peer| peer != "0.0.0.0:0");
    let peer = peer.and_then(|peer| {
        let address = peer.rsplit_once(':')?.0;
        Some(
            address
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
        )
    });
    let target = match (text("path").unwrap_or_default(), text("query")) {
        (path, Some(query)) => format!("{path}?{query}"),
        (path, None) => path,
    };
    let version = match number("http") {
        10 => "1.0",
        _ => "1.1",
    };
    format!(
        "{} - - [{}] \"{} {} HTTP/{version}\" {} {} \"{}\" \"{}\"\n",
        quoted(peer.as_deref()),
        clock(now),
        quoted(text("method").as_deref()),
        quoted(Some(&target)),
        number("status"),
        number("bytes"),
        quoted(text("referer").as_deref()),
        quoted(text("user_agent").as_deref()),
    )
}

/// Text that can end no field and no line. Everything but plain ASCII becomes `\xHH`, as in nginx. An empty text
/// becomes `-`.
fn quoted(text: Option<&str>) -> String {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return "-".to_owned();
    };
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes().take(super::LONGEST) {
        match byte {
            b'"' | b'\\' | 0..=31 | 127.. => {
                // Writing into a String cannot fail.
                let _ = write!(quoted, "\\x{byte:02X}");
            }
            byte => quoted.push(byte.into()),
        }
    }
    quoted
}

/// `29/Nov/2026:10:14:38 +0000`: the civil date from the days since 1970, by Howard Hinnant's `civil_from_days`.
fn clock(now: SystemTime) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    // Such a year begins in March.
    let (month, year) = match month {
        ..10 => (month + 2, era * 400 + year),
        _ => (month - 10, era * 400 + year + 1),
    };
    format!(
        "{day:02}/{}/{year}:{:02}:{:02}:{:02} +0000",
        MONTHS[month as usize],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::kv::Value;

    #[test]
    fn days_have_their_names() {
        for (seconds, text) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_709_164_800, "29/Feb/2024:00:00:00 +0000"),
            (1_767_225_599, "31/Dec/2025:23:59:59 +0000"),
            (1_795_947_278, "29/Nov/2026:10:14:38 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(clock(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn no_client_ends_a_field() {
        assert_eq!(
            quoted(Some("a\" \\ \n\u{9b}é")),
            "a\\x22 \\x5C \\x0A\\xC2\\x9B\\xC3\\xA9"
        );
        assert_eq!(quoted(None), "-");
        assert_eq!(quoted(Some("")), "-");
    }

    #[test]
    fn a_request_in_the_combined_format() {
        let mut pairs = [
            ("method", Value::from("GET")),
            ("path", "/a".into()),
            ("query", "b=1".into()),
            ("http", 10u8.into()),
            ("peer", "[2001:db8::7]:50000".into()),
            ("user_agent", "it \"says\"".into()),
            ("status", 404u16.into()),
            ("bytes", 12u64.into()),
        ];
        let line = |pairs: &[(&str, Value<'_>)]| {
            let args = format_args!("request");
            let mut builder = Record::builder();
            combined(UNIX_EPOCH, &builder.args(args).key_values(&pairs).build())
        };
        assert_eq!(
            line(&pairs),
            "2001:db8::7 - - [01/Jan/1970:00:00:00 +0000] \"GET /a?b=1 HTTP/1.0\" 404 12 \"-\" \"it \\x22says\\x22\"\n"
        );
        pairs[4].1 = "0.0.0.0:0".into();
        assert!(line(&pairs).starts_with("- - - ["));
    }
}
