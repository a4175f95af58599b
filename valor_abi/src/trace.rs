//! What the `tracing` crate collects, on its way to the host's log. The glue sets this up when a vlugin is created.
//!
//! An event becomes a line of the log with its level, module, file and line. Its text is the event's message and
//! fields, behind the spans that it happened in: `order{id=7}:payment: declined code=51`. Spans below the host's level
//! are not recorded, and an event below it is not even put together. Every text has an end.

use crate::host;
use std::{
    error::Error,
    fmt::{self, Debug, Write},
    sync::atomic::{AtomicUsize, Ordering},
};
use tracing_core::{
    Dispatch, Event, Interest, Level, LevelFilter, Metadata, Subscriber, callsite, dispatcher,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::{LookupSpan, Registry},
};
#[cfg_attr(not(target_family = "wasm"), allow(unused_imports))] // There it is a trait object.
use valor_abi_wire::{Host, LogRecord};

/// The most bytes of a line. This is as much as Valor's log shows of one.
const LINE: usize = 16 << 10;
/// The most bytes of a span's name and fields.
const SPAN: usize = 2 << 10;
/// The most bytes of the spans before an event's own text.
const SPANS: usize = LINE / 2;

/// Sends events to the host of the running vlugin, unless a subscriber is set already: that one stays. `log`'s level
/// has to be that of the most verbose host.
pub(crate) fn set_up() {
    /// The level that callsites were last asked for. None of `log`'s levels has the first number.
    static LEVEL: AtomicUsize = AtomicUsize::new(usize::MAX);
    if !host::is_adopted() {
        return;
    }
    let level = log::max_level() as usize;
    match LEVEL.swap(level, Ordering::Relaxed) {
        usize::MAX => {
            let subscriber = Dispatch::new(Registry::default().with(HostLog));
            let _ = dispatcher::set_global_default(subscriber);
        }
        // Another mount of the same library, in a host that logs more.
        before if before != level => callsite::rebuild_interest_cache(),
        _ => {}
    }
}

struct HostLog;

/// The name and the fields of a span, as they stand before its events.
struct Shown(Text);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for HostLog {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match *metadata.level() <= most_verbose() {
            // Hosts of one library may log differently.
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(most_verbose())
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        host::current().is_some_and(|host| level(metadata.level()) <= host.max_level())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut fields = Text::new(SPAN);
        attributes.record(&mut Fields::of(&mut fields));
        if let Some(span) = cx.span(id) {
            span.extensions_mut().replace(Shown(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        // First as a text: a value's `Debug` is an author's code, and may use spans as well.
        let mut more = Text::new(SPAN);
        values.record(&mut Fields::of(&mut more));
        let Some(span) = cx.span(id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(Shown(fields)) = extensions.get_mut() else {
            return;
        };
        if !fields.is_empty() && !more.is_empty() {
            fields.push(" ");
        }
        fields.push(more.shown());
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let Some(host) = host::current() else { return };
        let mut line = Text::new(SPANS);
        for span in cx
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            line.push(span.name());
            if let Some(Shown(fields)) = span.extensions().get() {
                if !fields.is_empty() {
                    line.push("{");
                    line.push(fields.shown());
                    line.push("}");
                }
            }
            line.push(":");
        }
        line.allow(LINE);
        event.record(&mut Fields::of(&mut line));
        let metadata = event.metadata();
        host.log(&LogRecord {
            level: level(metadata.level()),
            target: metadata.target(),
            message: line.shown(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
        });
    }
}

/// The level of this library's most verbose host.
fn most_verbose() -> LevelFilter {
    match log::max_level() {
        log::LevelFilter::Off => LevelFilter::OFF,
        log::LevelFilter::Error => LevelFilter::ERROR,
        log::LevelFilter::Warn => LevelFilter::WARN,
        log::LevelFilter::Info => LevelFilter::INFO,
        log::LevelFilter::Debug => LevelFilter::DEBUG,
        log::LevelFilter::Trace => LevelFilter::TRACE,
    }
}

fn level(level: &Level) -> log::Level {
    match *level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        Level::TRACE => log::Level::Trace,
    }
}

/// A text that keeps its first bytes, with a mark if there were more.
struct Text {
    text: String,
    most: usize,
    cut: bool,
}

impl Text {
    fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            most,
            cut: false,
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn shown(&self) -> &str {
        &self.text
    }

    /// From here on, the text may have this many bytes.
    fn allow(&mut self, most: usize) {
        (self.most, self.cut) = (most, false);
    }

    fn push(&mut self, more: &str) {
        if self.cut {
            return;
        }
        let room = self.most.saturating_sub(self.text.len());
        if more.len() <= room {
            return self.text.push_str(more);
        }
        let mut end = room;
        while !more.is_char_boundary(end) {
            end -= 1;
        }
        self.text.push_str(&more[..end]);
        self.text.push('…');
        self.cut = true;
    }
}

impl Write for Text {
    /// Never fails: some implementations of `Debug` would panic.
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.push(more);
        Ok(())
    }
}

/// Appends the fields of an event or a span: its message as it is, everything else as `name=value`.
struct Fields<'a> {
    text: &'a mut Text,
}

impl<'a> Fields<'a> {
    fn of(text: &'a mut Text) -> Self {
        Self { text }
    }

    fn append(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if !self.text.is_empty() {
            self.text.push(" ");
        }
        if field.name() != "message" {
            // A field may bear the name of a keyword.
            self.text.push(field.name().trim_start_matches("r#"));
            self.text.push("=");
        }
        let _ = self.text.write_fmt(value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.append(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.append(field, format_args!("{value}")),
            _ => self.append(field, format_args!("{value:?}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.append(field, format_args!("{value}"));
        // A chain that leads back to itself has an end, too.
        let causes = std::iter::successors(value.source(), |&error| error.source());
        for cause in causes.take(16) {
            let _ = write!(self.text, ": {cause}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_an_end() {
        let mut text = Text::new(6);
        text.push("abc");
        assert_eq!(text.shown(), "abc");
        // No letter is cut in two.
        text.push("déé");
        assert_eq!(text.shown(), "abcdé…");
        text.push("more");
        assert_eq!(text.shown(), "abcdé…");
        text.allow(12);
        text.push("fg");
        assert_eq!(text.shown(), "abcdé…fg");
    }
}
