//! [`Roster`]: the workers of one process by their slots, and how that process ends.
//!
//! `process` holds one for each Deno and adds workers. `supervisor` enters what is reported about them, and `loops` has
//! the process killed. Each end that is entered here reaches a worker once; if a process ends in several ways, the
//! first is the reason.

use super::worker::{End, Worker};
use smol::channel::{Receiver, Sender, bounded};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::Duration,
};
use valor_abi_wire::lock::locked;

/// How long a process may take to end after its link is closed.
pub(super) const UNTIL_DOWN: Duration = Duration::from_secs(5);

/// The workers of one process, and its end.
#[derive(Default)]
pub(super) struct Roster {
    workers: Mutex<HashMap<usize, Arc<Worker>>>,
    /// Why the process is about to end, if it has said so.
    last_words: OnceLock<End>,
    gone: OnceLock<()>,
    /// Closed to have the process killed.
    killing: Closing,
}

/// A channel that is only ever closed.
struct Closing(Sender<()>, Receiver<()>);

impl Default for Closing {
    fn default() -> Self {
        let (close, closed) = bounded(1);
        Self(close, closed)
    }
}

impl Roster {
    pub(super) fn workers(&self) -> MutexGuard<'_, HashMap<usize, Arc<Worker>>> {
        locked(&self.workers)
    }

    /// Whether the process has ended or is about to.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.get().is_some()
    }

    pub(super) fn one_ends(&self, slot: usize, end: End) {
        let worker = self.workers().remove(&slot);
        if let Some(worker) = worker {
            worker.end(end);
        }
    }

    pub(super) fn all_end(&self, end: &End) {
        let _ = self.gone.set(());
        let workers: Vec<_> = self.workers().drain().collect();
        for (_, worker) in workers {
            worker.end(end.clone());
        }
    }

    /// The process is about to end: start no script in it.
    pub(super) fn last(&self, end: End) {
        let _ = self.last_words.set(end);
        let _ = self.gone.set(());
    }

    pub(super) fn last_words(&self) -> Option<&End> {
        self.last_words.get()
    }

    /// Makes `process` kill it.
    pub(super) fn kill(&self) {
        self.killing.0.close();
    }

    /// Waits until it must be killed.
    pub(super) async fn killed(&self) {
        let _ = self.killing.1.recv().await;
    }
}
