//! The events of the welcome page, as server-sent events (HTML, section 9.2): the state of the runtime each second, and
//! the lines of the log that are new. Each stream is one of a few, and ends when the runtime or the server does.

use super::shown::Shared;
use crate::{Chunk, timer::Timer};
use futures_core::Stream;
use serde_json::{Value, json};
use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

/// The time between two states.
const PACE: Duration = Duration::from_secs(1);
/// The most streams at once.
pub const STREAMS: usize = 16;

/// What asks the runtime for its state; `None` once it has ended.
pub type State = dyn Fn() -> Option<Value> + Send + Sync;

/// A stream of events. It counts as one until it is dropped.
pub struct Events {
    shared: Arc<Shared>,
    state: Arc<State>,
    begun: Instant,
    /// The number of the log's next line.
    line: u64,
    timer: Timer,
}

impl Events {
    /// `None` if there are as many as there may be.
    pub fn begin(shared: &Arc<Shared>, state: &Arc<State>) -> Option<Self> {
        let more = |open: usize| (open < STREAMS).then_some(open + 1);
        let open = &shared.streams;
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()?;
        Some(Self {
            shared: shared.clone(),
            state: state.clone(),
            begun: Instant::now(),
            line: 0,
            timer: Timer::after(Duration::ZERO),
        })
    }

    /// The next events; `None` if there are no more.
    fn next(&mut self) -> Option<String> {
        if self.shared.ended.load(Ordering::Acquire) {
            return None;
        }
        let mut state = (self.state)()?;
        let at = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        state["at"] = at.into();
        let mut events = event("state", &state);
        let (lines, next) = self.shared.lines.since(self.line);
        self.line = next;
        if !lines.is_empty() {
            events.push_str(&event("log", &json!(lines)));
        }
        Some(events)
    }
}

/// JSON has no line breaks of its own, so it is one line of data.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

impl Stream for Events {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(Pin::new(&mut self.timer).poll(cx));
        self.timer = Timer::after(PACE);
        let events = self.next();
        Poll::Ready(events.map(|it| Ok(Chunk::Data(it.into()))))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::AcqRel);
    }
}
