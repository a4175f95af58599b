//! Names the vlugin that blocks its thread.
//!
//! Every poll of a vlugin's code runs inside [`run`]. It notes in a slot of the thread which vlugin is being polled.
//! One thread looks at all slots twenty times a second. While it finds the same poll again, it calls
//! the listeners of [`on_blocked`](crate::on_blocked), so that a server can replace blocked threads at once. A poll
//! that takes longer than a second gets one line in the log. A poll costs two short uncontended locks and no look at
//! the clock.

use crate::registry::Mount;
use std::{
    sync::{Arc, Mutex, Once, Weak},
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;

/// How often the thread looks at the slots.
const TICK: Duration = Duration::from_millis(50);

/// How long a poll may take before the log names the vlugin.
pub const LIMIT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Slot {
    /// Counts polls, to tell two polls of the same vlugin apart.
    count: u64,
    running: Option<Arc<Mount>>,
}

type Slots = Vec<(Weak<Mutex<Slot>>, Seen)>;

static SLOTS: Mutex<Slots> = Mutex::new(Vec::new());

/// What the watching thread remembers of a slot.
#[derive(Default)]
struct Seen {
    count: u64,
    since: Option<Instant>,
    told: Option<Arc<Mount>>,
}

thread_local! {
    static SLOT: Arc<Mutex<Slot>> = {
        let slot = Arc::default();
        locked(&SLOTS).push((Arc::downgrade(&slot), Seen::default()));
        start();
        slot
    };
}

/// Runs a piece of a vlugin's code under the vlugin's name.
pub fn run<T>(mount: &Arc<Mount>, code: impl FnOnce() -> T) -> T {
    struct Leave<'a>(&'a Mutex<Slot>, Option<Arc<Mount>>);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            let ran = {
                let mut slot = locked(self.0);
                slot.count += 1;
                std::mem::replace(&mut slot.running, self.1.take())
            };
            // It may be the last that has the vlugin.
            drop(ran);
        }
    }
    let mut code = Some(code);
    let ran = SLOT.try_with(|slot| {
        let before = {
            let mut slot = locked(slot);
            slot.count += 1;
            slot.running.replace(mount.clone())
        };
        let _leave = Leave(slot, before);
        code.take().map(|code| code())
    });
    match (ran, code) {
        (Ok(Some(ran)), _) => ran,
        // The thread is ending, and has no slot any more.
        (_, Some(code)) => code(),
        _ => unreachable!("the code ran, or it is there"),
    }
}

fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        let spawned = std::thread::Builder::new()
            .name("valor-watch".into())
            .spawn(|| {
                loop {
                    std::thread::sleep(TICK);
                    look(&mut locked(&SLOTS));
                }
            });
        if let Err(error) = spawned {
            log::warn!(target: "valor::watch", "vlugins that block are not named: {error}");
        }
    });
}

fn look(slots: &mut Slots) {
    let mut blocked = false;
    slots.retain_mut(|(slot, seen)| {
        let Some(slot) = slot.upgrade() else {
            return false;
        };
        let (count, running) = {
            let slot = locked(&slot);
            (slot.count, slot.running.clone())
        };
        if count != seen.count || running.is_none() {
            if let (Some(mount), Some(since)) = (seen.told.take(), seen.since) {
                log::warn!(
                    target: "valor::watch", vlugin = &*mount.name;
                    "the vlugin `{}` gave its thread back after about {:.1} s",
                    mount.name, since.elapsed().as_secs_f64()
                );
            }
            *seen = Seen {
                count,
                since: running.is_some().then(Instant::now),
                told: None,
            };
            return true;
        }
        blocked = true;
        if let (Some(mount), Some(since), None) = (running, seen.since, &seen.told)
            && since.elapsed() >= LIMIT
        {
            log::warn!(
                target: "valor::watch", vlugin = &*mount.name;
                "the vlugin `{}` has blocked its thread for {:.1} s: \
                 it should await, or move the work to a separate thread",
                mount.name, since.elapsed().as_secs_f64()
            );
            if let Some(metrics) = mount.metrics.get() {
                metrics.blocked.inc();
            }
            seen.told = Some(mount);
        }
        true
    });
    if blocked {
        crate::blocked::tell();
    }
}
