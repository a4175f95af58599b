//! The timers of one instance: an entry for each number, and one sleep until the first of them.
//!
//! `imports` sets them, and `driver` waits for the first. A timer that never fires costs its entry and nothing else.

use crate::{
    BoxFuture,
    account::{Account, Charge, Over},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use valor_abi_wire::Host;

#[derive(Default)]
pub(super) struct Timers {
    /// When each timer fires, or `None` if it never does.
    set: BTreeMap<u32, (Option<Instant>, Charge)>,
    by_time: BTreeSet<(Instant, u32)>,
    /// Until the first of them.
    sleeping: Option<(Instant, BoxFuture<'static, ()>)>,
}

impl Timers {
    /// Sets a timer, and replaces an earlier one with the same number. With less than 0 milliseconds, it only removes
    /// that.
    pub fn set(&mut self, id: u32, ms: f64, account: &Account) -> Result<(), Over> {
        let before = self.set.remove(&id);
        if let Some((Some(at), _)) = before {
            self.by_time.remove(&(at, id));
        }
        if ms < 0.0 || ms.is_nan() {
            return Ok(());
        }
        let charge = match before {
            Some((_, charge)) => charge,
            None => account.timer()?,
        };
        let time = Duration::try_from_secs_f64(ms / 1000.0).ok();
        let at = time.and_then(|time| Instant::now().checked_add(time));
        self.by_time.extend(at.map(|at| (at, id)));
        self.set.insert(id, (at, charge));
        Ok(())
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The next timer whose time is over.
    pub fn poll(&mut self, host: &dyn Host, cx: &mut Context<'_>) -> Poll<u32> {
        while let Some(&(at, id)) = self.by_time.first() {
            let now = Instant::now();
            if at <= now {
                self.by_time.pop_first();
                self.set.remove(&id);
                return Poll::Ready(id);
            }
            let sleeping = match &mut self.sleeping {
                Some((until, sleeping)) if *until == at => sleeping,
                other => &mut other.insert((at, host.sleep(at - now))).1,
            };
            if sleeping.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleeping = None;
        }
        self.sleeping = None;
        Poll::Pending
    }
}
