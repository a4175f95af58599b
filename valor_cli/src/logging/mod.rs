//! The log: each record of this program and its vlugins is one line on standard error, for people or as JSON.
//!
//! `main` calls [`start`] once. Whatever a message or a value contains, a record stays one line of bounded length. So
//! the text of a client or a vlugin cannot fake another record, drive a terminal, or fill a disk with one record.

mod access;

use crate::{
    args::{AccessLog, LogArgs, LogFormat},
    log_writer::LogWriter,
};
use anstyle::{AnsiColor, Style};
use log::{
    Level, LevelFilter, Record,
    kv::{Error, Key, Value, VisitSource, VisitValue},
};
use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    sync::OnceLock,
    time::SystemTime,
};
use valor_runtime::{
    Welcome,
    escape::{self, Escaped, escaped_json},
};

/// The most bytes of a message, or of one of a record's values; the rest is cut off. That leaves room for the mark of a
/// text that was cut before, and for the text around it.
const LONGEST: usize = escape::LONGEST + 512;
/// The target of the access log.
const ACCESS: &str = "valor::access";
/// The target of vlugins' faults.
const DISPATCH: &str = "valor::dispatch";
/// The start of the target of vlugins' own records; the name follows.
const VLUGIN: &str = "vlugin::";

/// The page that shows the last lines.
static PAGE: OnceLock<Welcome> = OnceLock::new();

/// Shows the lines of the log on the welcome page too, from now on.
pub fn show_on(page: Welcome) {
    // There is one server in a program, and so one page.
    let _ = PAGE.set(page);
}

/// A line as people read it, whatever the format of the log.
fn for_page(now: &impl fmt::Display, record: &Record<'_>, failures: bool) -> String {
    match failures && record.target() == ACCESS {
        true => request_line(now, record, false),
        false => text_line(now, record, false),
    }
}

/// Sets up the logger and returns the handle that flushes it.
///
/// # Errors
/// If the writer's thread cannot be started.
pub fn start(args: &LogArgs) -> io::Result<LogWriter> {
    let json = args.log_format == LogFormat::Json;
    let combined = args.access_log == AccessLog::Combined;
    let colours = !json && colours_on_stderr();
    let failures = !json && !combined && args.failures;
    let writer = LogWriter::start(anstream::stderr())?;

    let mut builder = env_logger::Builder::new();
    builder
        // Its messages about watches that end with their folders are expected; `watch` gets real faults as errors.
        .filter_module("notify", LevelFilter::Off)
        .parse_filters(&args.log)
        .target(env_logger::Target::Pipe(Box::new(writer.clone())))
        .format(move |out, record| {
            if failures && is_of_a_request(record) {
                return Ok(());
            }
            let now = out.timestamp_millis();
            let line = match json {
                true => json_line(&now, record),
                false if combined && record.target() == ACCESS => {
                    access::combined(SystemTime::now(), record)
                }
                false if failures && record.target() == ACCESS => {
                    request_line(&now, record, colours)
                }
                false => text_line(&now, record, colours),
            };
            if let Some(page) = PAGE.get() {
                page.line(&for_page(&now, record, failures));
            }
            out.write_all(line.as_bytes())
        });
    if args.no_access_log {
        builder.filter_module(ACCESS, LevelFilter::Off);
    }
    let logger = builder.build();
    let most = match args.quiet {
        true => logger.filter().min(LevelFilter::Warn),
        false => logger.filter(),
    };
    // This fails only if a logger is already set; nothing else in this program sets one.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(most);
    }
    std::panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log::error!(target: "valor::panic", "Valor itself panicked at {place}: {message}");
    }));
    Ok(writer)
}

fn colours_on_stderr() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Whether a fault of a vlugin is the reason of a request that failed, whose line follows and has it.
fn is_of_a_request(record: &Record<'_>) -> bool {
    let id = record.key_values().get(Key::from("id"));
    record.target() == DISPATCH
        && record.level() == Level::Error
        && id.is_some_and(|id| id.to_borrowed_str() != Some(""))
        && log::log_enabled!(target: ACCESS, Level::Info)
}

/// A request as `dev` shows it: one that failed is an error, with the reason.
fn request_line(now: &impl fmt::Display, record: &Record<'_>, colours: bool) -> String {
    let mut failure = String::new();
    if !access::push_failure(&mut failure, record) {
        return text_line(now, record, colours);
    }
    let (dim, style) = match colours {
        true => (Style::new().dimmed(), level_style(Level::Error)),
        false => Default::default(),
    };
    format!("{dim}{now}{dim:#} {style}ERROR{style:#} {failure}\n")
}

fn text_line(now: &impl fmt::Display, record: &Record<'_>, colours: bool) -> String {
    let (dim, of_level) = match colours {
        true => (Style::new().dimmed(), level_style(record.level())),
        false => Default::default(),
    };
    let mut line = String::with_capacity(160);
    let level = record.level();
    // Writing into a String cannot fail, here and below.
    let _ = write!(line, "{dim}{now}{dim:#} {of_level}{level:<5}{of_level:#} ");
    if record.target() == ACCESS {
        access::push_brief(&mut line, record, colours);
    } else {
        let own = record.target().strip_prefix(VLUGIN);
        let target = own.unwrap_or(record.target());
        let _ = write!(shown(&mut line), "{target}: {}", record.args());
        let _ = record.key_values().visit(&mut TextPairs {
            line: &mut line,
            own: own.is_some(),
            style: dim,
        });
    }
    line.push('\n');
    line
}

/// Appends ` key=value` for each pair.
struct TextPairs<'a> {
    line: &'a mut String,
    /// Whether it is a vlugin's own record: its name is already at the front.
    own: bool,
    style: Style,
}

impl<'kvs> VisitSource<'kvs> for TextPairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if self.own && key.as_str() == "vlugin" {
            return Ok(());
        }
        let style = self.style;
        let _ = write!(self.line, " {style}");
        let _ = write!(shown(self.line), "{key}={value}");
        let _ = write!(self.line, "{style:#}");
        Ok(())
    }
}

fn level_style(level: Level) -> Style {
    match level {
        Level::Error => AnsiColor::Red.on_default().bold(),
        Level::Warn => AnsiColor::Yellow.on_default(),
        Level::Info => AnsiColor::Green.on_default(),
        Level::Debug => AnsiColor::Blue.on_default(),
        Level::Trace => AnsiColor::Cyan.on_default(),
    }
}

/// Text for a line: escaped, and bounded.
fn shown(line: &mut String) -> impl fmt::Write {
    Cut {
        out: Escaped(line),
        left: LONGEST,
        left_out: 0,
    }
}

/// Cuts off what is too long, and says at the end how much that was.
struct Cut<W: fmt::Write> {
    out: W,
    left: usize,
    left_out: usize,
}

impl<W: fmt::Write> fmt::Write for Cut<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() <= self.left {
            self.left -= text.len();
            return self.out.write_str(text);
        }
        let kept = text.floor_char_boundary(std::mem::take(&mut self.left));
        self.left_out += text.len() - kept;
        self.out.write_str(&text[..kept])
    }
}

impl<W: fmt::Write> Drop for Cut<W> {
    fn drop(&mut self) {
        if self.left_out > 0 {
            let _ = self.out.write_str(&escape::more(self.left_out));
        }
    }
}

fn json_line(now: &impl fmt::Display, record: &Record<'_>) -> String {
    let mut object = JsonObject::begin();
    object.text("ts", &now.to_string());
    object.text("level", record.level().as_str());
    object.text("target", record.target());
    object.key("message");
    match record.args().as_str() {
        Some(message) => push_json(&mut object.0, message),
        None => push_whole_json(&mut object.0, &cut(record.args())),
    }
    let _ = record.key_values().visit(&mut object);
    object.end()
}

/// An object on one line, written key by key.
struct JsonObject(String);

impl JsonObject {
    const OWN: [&str; 4] = ["ts", "level", "target", "message"];

    fn begin() -> Self {
        Self("{".to_owned())
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        push_json(&mut self.0, key);
        self.0.push(':');
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        push_json(&mut self.0, value);
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

fn push_json(line: &mut String, text: &str) {
    match text.len() > LONGEST {
        true => push_whole_json(line, &cut(&text)),
        false => push_whole_json(line, text),
    }
}

fn push_whole_json(line: &mut String, text: &str) {
    // A string always has a JSON form.
    if let Ok(json) = serde_json::to_string(text) {
        line.push_str(&escaped_json(&json));
    }
}

/// Its text, cut to the bound.
fn cut(value: &impl fmt::Display) -> String {
    let mut text = String::new();
    let cut = Cut {
        out: &mut text,
        left: LONGEST,
        left_out: 0,
    };
    let _ = { cut }.write_fmt(format_args!("{value}"));
    text
}

impl<'kvs> VisitSource<'kvs> for JsonObject {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        match Self::OWN.contains(&key.as_str()) {
            true => self.key(&format!("_{key}")),
            false => self.key(key.as_str()),
        }
        value.visit(JsonValue(&mut self.0))
    }
}

struct JsonValue<'a>(&'a mut String);

impl JsonValue<'_> {
    fn plain(&mut self, value: impl fmt::Display) -> Result<(), Error> {
        let _ = write!(self.0, "{value}");
        Ok(())
    }
}

impl<'v> VisitValue<'v> for JsonValue<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        push_whole_json(self.0, &cut(&value));
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        push_json(self.0, value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.plain(value)
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.plain(value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.plain(value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        match value.is_finite() {
            true => self.plain(value),
            false => self.visit_str(&value.to_string()),
        }
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.plain("null")
    }
}

#[cfg(test)]
mod tests;
