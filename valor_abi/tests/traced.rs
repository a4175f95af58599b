//! `tracing` in a vlugin: what its events and spans become in the host's log.

#![allow(missing_docs)] // It is written as authors write.

use std::{fmt, io, time::Duration};
use tracing::{Instrument, debug, error, info, info_span, trace, warn};
use valor::{testing::LogLine, *};

#[vlugin]
pub async fn on_create(_cx: &mut Context) {
    info!("created");
}

pub async fn on_request(cx: &Context, req: http::Request) -> String {
    match req.url().path() {
        "/levels" => {
            trace!("t");
            debug!("d");
            info!("i");
            warn!("w");
            error!("e");
        }
        "/fields" => {
            let seen = Some(2);
            info!(text = "a\nb", number = 7, ?seen, shown = %"plain", r#type = true, "of {}", cx.name());
            info!(only = 1);
            info!(target: "elsewhere", "with a target");
            let error = io::Error::other(Chained(Some(Box::new(Chained(None)))));
            error!(
                error = &error as &(dyn std::error::Error + 'static),
                "failed"
            );
        }
        "/spans" => {
            let order = info_span!("order", id = 7, state = tracing::field::Empty);
            let paying = async {
                sleep(Duration::from_secs(1)).await;
                info!("asked");
                tracing::Span::current().record("code", 51);
                warn!(left = 2, "declined");
            };
            let payment = info_span!(parent: &order, "payment", code = tracing::field::Empty);
            // Between its polls, the span is left.
            let other = async { info!("beside it") };
            futures_lite::future::zip(paying.instrument(payment), other).await;
            order.record("state", "lost");
            order.in_scope(|| info!("over"));
            info!(parent: None, "without");
        }
        "/attribute" => assert_eq!(noted(3).await, 4),
        "/long" => {
            let span = info_span!("s", text = "x".repeat(10_000));
            let many = (0..20).fold(
                span,
                |parent, _| info_span!(parent: &parent, "deeper", text = "é".repeat(1_000)),
            );
            many.record("text", "again");
            many.in_scope(|| info!("{}", "y".repeat(100_000)));
        }
        _ => log::info!("a line of `log`"),
    }
    String::new()
}

#[tracing::instrument(level = "debug", ret)]
async fn noted(number: u32) -> u32 {
    sleep(Duration::from_secs(1)).await;
    number + 1
}

#[derive(Debug)]
struct Chained(Option<Box<Chained>>);

impl fmt::Display for Chained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "outer" } else { "inner" })
    }
}

impl std::error::Error for Chained {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_deref().map(|error| error as _)
    }
}

/// What a request adds to the log.
fn log(path: &str) -> Vec<LogLine> {
    let vlugin = testing::TestHost::new().name("traced").create(VLUGIN);
    vlugin.get(path).assert_status(200);
    let mut log = vlugin.log();
    assert_eq!(log.remove(0).message, "created");
    log
}

fn messages(path: &str) -> Vec<String> {
    log(path).into_iter().map(|line| line.message).collect()
}

#[test]
fn an_event_has_its_level_and_its_module() {
    let log = log("/levels");
    let lines: Vec<_> = log
        .iter()
        .map(|line| (line.level.as_str(), &*line.message))
        .collect();
    assert_eq!(
        lines,
        [
            ("TRACE", "t"),
            ("DEBUG", "d"),
            ("INFO", "i"),
            ("WARN", "w"),
            ("ERROR", "e")
        ]
    );
    assert!(
        log.iter()
            .all(|line| line.target == "traced" && line.vlugin == "traced")
    );
}

#[test]
fn fields_come_after_the_message() {
    let log = log("/fields");
    let messages: Vec<_> = log.iter().map(|line| &*line.message).collect();
    assert_eq!(
        messages,
        [
            r#"of traced text="a\nb" number=7 seen=Some(2) shown=plain type=true"#,
            "only=1",
            "with a target",
            "failed error=outer: inner",
        ]
    );
    assert_eq!(log[2].target, "elsewhere");
}

#[test]
fn spans_stand_before_what_happens_in_them() {
    assert_eq!(
        messages("/spans"),
        [
            "beside it",
            "order{id=7}:payment: asked",
            "order{id=7}:payment{code=51}: declined left=2",
            r#"order{id=7 state="lost"}: over"#,
            "without",
        ]
    );
    assert_eq!(messages("/attribute"), ["noted{number=3}: return=4"]);
}

#[test]
fn a_line_and_its_spans_have_an_end() {
    let [line] = messages("/long").try_into().unwrap();
    assert!(line.starts_with("s{text=\"xxx"), "{line}");
    // The spans have half of the line, and the message the rest.
    let (spans, message) = line.split_at(line.find("yyy").unwrap());
    assert!((8_000..8_200).contains(&spans.len()), "{}", spans.len());
    assert!((8_000..8_200).contains(&message.len()), "{}", message.len());
    assert!(message.ends_with("y…"));
}

#[test]
fn lines_of_log_are_there_once() {
    assert_eq!(messages("/log"), ["a line of `log`"]);
}
