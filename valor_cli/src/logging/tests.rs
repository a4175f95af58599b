//! Records as lines, for people and as JSON.

use super::*;

const NOW: &str = "2026-01-02T03:04:05.678Z";

fn record<'a>(
    target: &'a str,
    message: fmt::Arguments<'a>,
    pairs: &'a [(&'a str, Value<'a>)],
) -> Record<'a> {
    Record::builder()
        .level(Level::Info)
        .target(target)
        .args(message)
        .key_values(Box::leak(Box::new(pairs)))
        .build()
}

fn request<'a>() -> [(&'a str, Value<'a>); 8] {
    [
        ("method", "GET".into()),
        ("path", "/a\nb".into()),
        ("status", 200u16.into()),
        ("vlugin", "hello".into()),
        ("duration_us", 213u64.into()),
        ("id", "7f3a".into()),
        ("bytes", 12u64.into()),
        ("complete", true.into()),
    ]
}

#[test]
fn a_request_for_people() {
    let mut pairs = request();
    let line = |pairs: &[(&str, Value<'_>)]| {
        text_line(&NOW, &record(ACCESS, format_args!("request"), pairs), false)
    };
    assert_eq!(
        line(&pairs),
        format!("{NOW} INFO  GET /a\\nb 200 hello 0.213ms 7f3a\n")
    );
    pairs[3].1 = "".into();
    pairs[7].1 = false.into();
    assert_eq!(
        line(&pairs),
        format!("{NOW} INFO  GET /a\\nb 200 - 0.213ms 7f3a cut short\n")
    );
}

#[test]
fn a_record_for_people() {
    let pairs = [("vlugin", "hello".into()), ("n", 7.into())];
    let line = |target| text_line(&NOW, &record(target, format_args!("hi"), &pairs), false);
    assert_eq!(
        line("vlugin::hello"),
        format!("{NOW} INFO  hello: hi n=7\n")
    );
    assert_eq!(
        line("valor::x"),
        format!("{NOW} INFO  valor::x: hi vlugin=hello n=7\n")
    );
}

#[test]
fn colours_are_there_only_where_they_are_asked_for() {
    let pairs = request();
    let record = record(ACCESS, format_args!("request"), &pairs);
    assert!(text_line(&NOW, &record, true).contains("\u{1b}[32m200\u{1b}[0m"));
    assert!(!text_line(&NOW, &record, false).contains('\u{1b}'));
}

#[test]
fn a_request_that_failed_has_its_reason() {
    let line = |pairs: &[(&str, Value<'_>)]| {
        request_line(&NOW, &record(ACCESS, format_args!("request"), pairs), false)
    };
    let pairs = |status: u16, reason: Option<&'static str>| {
        let mut pairs = request().to_vec();
        pairs.retain(|(key, _)| *key != "status");
        pairs.push(("status", status.into()));
        pairs.push(("reason", reason.map_or(Value::null(), Value::from)));
        pairs
    };
    let well = pairs(404, None);
    let plain = text_line(&NOW, &record(ACCESS, format_args!("request"), &well), false);
    assert_eq!(line(&well), plain);
    let reason = "it panicked: boom\nat src/lib.rs:7:5";
    assert_eq!(
        line(&pairs(500, Some(reason))),
        format!(
            "{NOW} ERROR GET /a\\nb failed with 500 in `hello` after 0.213ms: \
             it panicked: boom\\nat src/lib.rs:7:5 (id 7f3a)\n"
        )
    );
    assert!(
        line(&pairs(200, Some(reason))).contains("failed with 200"),
        "its body broke off"
    );
    assert!(line(&pairs(503, None)).contains(": it answered so itself ("));
}

#[test]
fn a_record_is_one_line_whatever_is_in_it() {
    let evil = "a\r\nb\u{1b}[2J\u{2028}\u{85}\u{202e}\0\u{9b}31m";
    let pairs = [("k\ney", Value::from(evil))];
    for target in ["x\ny", ACCESS] {
        for line in [
            text_line(&NOW, &record(target, format_args!("{evil}"), &pairs), false),
            json_line(&NOW, &record(target, format_args!("{evil}"), &pairs)),
        ] {
            let body = line.strip_suffix('\n').unwrap();
            let strange = [
                '\n', '\r', '\0', '\u{1b}', '\u{9b}', '\u{85}', '\u{2028}', '\u{202e}',
            ];
            assert!(!body.contains(strange), "{body:?}");
        }
    }
    let line = text_line(&NOW, &record("x", format_args!("{evil}"), &[]), false);
    assert_eq!(
        line,
        format!(
            "{NOW} INFO  x: a\\r\\nb\\u{{1b}}[2J\\u{{2028}}\\u{{85}}\\u{{202e}}\\u{{0}}\\u{{9b}}31m\n"
        )
    );
}

#[test]
fn a_record_has_an_end() {
    let long = "ä".repeat(4 << 20);
    let pairs = [("value", Value::from(&*long))];
    for line in [
        text_line(
            &NOW,
            &record("x", format_args!("{long}{long}"), &pairs),
            false,
        ),
        json_line(&NOW, &record("x", format_args!("{long}{long}"), &pairs)),
    ] {
        assert!(line.len() < 2 * LONGEST + 200, "{}", line.len());
        // Both say how much was cut off: of the message, and of the value.
        let left_out = line.split("… (").skip(1);
        let left_out = left_out.map(|rest| rest.split(' ').next().unwrap().parse().unwrap());
        let left_out: Vec<usize> = left_out.collect();
        assert_eq!(left_out.len(), 2);
        for (found, whole) in left_out.iter().zip([16 << 20, 8 << 20]) {
            let least = whole - LONGEST;
            assert!((least..least + 64).contains(found), "{found} of {whole}");
        }
    }
}

#[test]
fn a_record_as_json() {
    let pairs = [
        ("status", 200u16.into()),
        ("share", 0.5.into()),
        ("nan", f64::NAN.into()),
        ("ok", true.into()),
        ("below", (-3i64).into()),
        ("text", "a \"quoted\"\n".into()),
        ("message", "not the message".into()),
    ];
    let line = json_line(&NOW, &record("valor::x", format_args!("{}", 1), &pairs));
    let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        parsed,
        serde_json::json!({
            "ts": NOW, "level": "INFO", "target": "valor::x", "message": "1", "status": 200,
            "share": 0.5, "nan": "NaN", "ok": true, "below": -3, "text": "a \"quoted\"\n",
            "_message": "not the message",
        })
    );
}
