//! The conversation on the control link with a process's supervisor (`supervisor.js`): its events and its orders.
//!
//! `process` spawns [`hear`] and [`tell`] for each Deno, with the two halves of its `link`, and sends the orders. Every
//! record is `sealed` and bounded. If a record is too long, or the supervisor did not seal it, the process is killed.

use super::{
    entry::cut,
    hints::plain,
    roster::{Roster, UNTIL_DOWN},
    sealed::{Opener, Sealer},
    worker::{End, Stage},
};
use crate::{escape::one_line, host::fetch::local::Address, timer::Timer};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::Deserialize;
use serde_json::{Value, json};
use smol::channel::{Receiver, Sender};
use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

/// The most bytes in a record of the supervisor, which limits its messages (`supervisor.js`).
const SAID: usize = 64 << 10;
/// The most bytes of a script's reason for ending.
const WORDS: usize = 2000;

/// An event of the supervisor.
#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    slot: usize,
    #[serde(default)]
    message: String,
    #[serde(default)]
    port: Option<u16>,
}

/// Orders a worker to end when its promised work is done, or at the latest after this time.
pub(super) fn stop(slot: usize, wait: Duration) -> Value {
    json!({ "command": "stop", "slot": slot, "wait": u64::try_from(wait.as_millis()).unwrap_or(0) })
}

/// Enters the supervisor's events in the roster. If they break off, the process has ended or is killed.
pub(super) async fn hear(
    mut said: impl AsyncRead + Unpin,
    mut opener: Opener,
    roster: Arc<Roster>,
) {
    let why = loop {
        let mut length = [0; 4];
        match said.read_exact(&mut length).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // Then the earlier event is the reason.
                Timer::after(UNTIL_DOWN).await;
                break "it has ended".into();
            }
            Err(error) => break error.to_string(),
            Ok(()) => {}
        }
        let strange = || "something on it is not from the supervisor".to_owned();
        let length = u32::from_le_bytes(length) as usize;
        if length > SAID {
            break strange();
        }
        let mut record = vec![0; length];
        if let Err(error) = said.read_exact(&mut record).await {
            break error.to_string();
        }
        let Some(line) = opener.open(&mut record) else {
            break strange();
        };
        match serde_json::from_slice(line) {
            Ok(event) => take(&roster, event),
            Err(error) => break format!("it sent something unknown: {error}"),
        }
    };
    roster.last(End::Died(format!("its control link broke off: {why}")));
    roster.kill();
}

/// Sends the supervisor its orders. When all senders of orders are gone, it closes the link, and `closing` with it.
pub(super) async fn tell(
    mut link: impl AsyncWrite + Unpin,
    mut sealer: Sealer,
    orders: Receiver<Value>,
    closing: Sender<()>,
) {
    while let Ok(order) = orders.recv().await {
        let Some(record) = sealer.seal(&order.to_string()) else {
            break;
        };
        if link.write_all(&record).await.is_err() {
            break;
        }
    }
    let _ = link.close().await;
    closing.close();
}

/// Enters one event.
fn take(roster: &Roster, mut event: Event) {
    event.message = one_line(&plain(&event.message));
    cut(&mut event.message, WORDS);
    let stage = match &*event.event {
        "listening" => Stage::Listening,
        "ready" => Stage::Ready,
        "failed" => Stage::Failed(event.message),
        "stopped" => return roster.one_ends(event.slot, End::Stopped),
        "memory" => return roster.last(End::Memory),
        "blocked" => {
            let name = roster.workers().get(&event.slot).map(|it| it.name.clone());
            let name = name.unwrap_or_default();
            roster.last(End::Died(format!("`{name}`, of its group, was in a loop")));
            return roster.one_ends(event.slot, End::Blocked);
        }
        _ => {
            let end = End::Died(event.message);
            roster.last(end.clone());
            return roster.one_ends(event.slot, end);
        }
    };
    if let Some(worker) = roster.workers().get(&event.slot) {
        if let Some(port) = event.port {
            let address = (Ipv4Addr::LOCALHOST, port).into();
            worker.local.is_at(Address::Tcp(address));
        }
        let _ = worker.stages.try_send(stage);
    }
}
