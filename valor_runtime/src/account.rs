//! What the host holds and runs for one vlugin, counted against the vlugin's limits.
//!
//! Loaders and a vlugin's host ask an [`Account`] before they copy bytes for the vlugin, keep a timer for it, or
//! begin a fetch or a call. They get a [`Charge`], keep it as long as the thing lasts, and drop it with the thing. An
//! account never counts more than its limits allow: it refuses anything beyond them with [`Over`], which names the
//! limit.

use crate::{Bytes, Fault, Limits};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The account of one vlugin, or of one of its instances.
///
/// Clones are the same account.
///
/// ```
/// use valor_runtime::{Limits, account::{Account, Over}};
///
/// let limits = Limits { host_memory: Some(1 << 20), ..Limits::default() };
/// let account = Account::new(&limits);
/// let body = account.charge(1 << 19)?;
/// assert_eq!(account.charge(1 << 20).unwrap_err(), Over::HostMemory(1 << 20));
/// drop(body);
/// assert_eq!(account.held(), 0);
/// # Ok::<(), Over>(())
/// ```
#[derive(Debug, Clone)]
pub struct Account {
    bytes: Arc<Gauge>,
    timers: Arc<Gauge>,
    fetches: Arc<Gauge>,
    calls: Arc<Gauge>,
    /// The limits of one instance: bytes and timers.
    each: [u64; 2],
}

/// A number with a limit.
#[derive(Debug)]
struct Gauge {
    held: AtomicU64,
    limit: u64,
    over: fn(u64) -> Over,
    /// Counts the same for all instances together.
    whole: Option<Arc<Gauge>>,
}

/// Counts something until it is dropped.
#[derive(Debug)]
#[must_use = "what is dropped counts no more"]
pub struct Charge {
    gauge: Arc<Gauge>,
    amount: u64,
}

/// The limit that something would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Over {
    /// Bytes that the host holds for the vlugin.
    #[error(
        "the host would hold more than {0} bytes of bodies, heads and texts for it (`limits.host_memory`)"
    )]
    HostMemory(u64),
    /// Running timers.
    #[error("it would have more than {0} timers (`limits.timers`)")]
    Timers(u64),
    /// Running requests to servers.
    #[error("it has {0} fetches running already (`limits.fetches`)")]
    Fetches(u64),
    /// Running calls to other vlugins.
    #[error("it has {0} calls of other vlugins running already (`limits.calls`)")]
    Calls(u64),
}

impl From<Over> for Fault {
    fn from(over: Over) -> Self {
        Self::refused(503, over.to_string())
    }
}

impl Account {
    /// The account of a vlugin with these limits. If the vlugin has several instances, it covers all of them
    /// together.
    pub fn new(limits: &Limits) -> Self {
        let each = [limits.host_memory(), limits.timers().into()];
        let instances = u64::from(limits.instances());
        let [bytes, timers] = each.map(|it| it.saturating_mul(instances));
        Self {
            bytes: Gauge::new(bytes, Over::HostMemory, None),
            timers: Gauge::new(timers, Over::Timers, None),
            fetches: Gauge::new(limits.fetches().into(), Over::Fetches, None),
            calls: Gauge::new(limits.calls().into(), Over::Calls, None),
            each,
        }
    }

    /// The account of one more instance. It has its own bytes and timers, which also count for the vlugin; it shares
    /// the vlugin's fetches and calls. What an instance leaves behind, such as a response that a client reads slowly,
    /// still counts for the vlugin.
    pub fn instance(&self) -> Self {
        let [bytes, timers] = self.each;
        Self {
            bytes: Gauge::new(bytes, Over::HostMemory, Some(self.bytes.clone())),
            timers: Gauge::new(timers, Over::Timers, Some(self.timers.clone())),
            ..self.clone()
        }
    }

    /// Counts bytes that the host is about to copy or keep.
    ///
    /// # Errors
    /// [`Over::HostMemory`].
    pub fn charge(&self, bytes: usize) -> Result<Charge, Over> {
        Gauge::charge(&self.bytes, bytes as u64)
    }

    /// Counts a timer.
    ///
    /// # Errors
    /// [`Over::Timers`].
    pub fn timer(&self) -> Result<Charge, Over> {
        Gauge::charge(&self.timers, 1)
    }

    /// Counts a request to a server.
    ///
    /// # Errors
    /// [`Over::Fetches`].
    pub fn fetch(&self) -> Result<Charge, Over> {
        Gauge::charge(&self.fetches, 1)
    }

    /// Counts a call of another vlugin.
    ///
    /// # Errors
    /// [`Over::Calls`].
    pub fn call(&self) -> Result<Charge, Over> {
        Gauge::charge(&self.calls, 1)
    }

    /// The bytes that are counted now.
    pub fn held(&self) -> u64 {
        self.bytes.held.load(Ordering::Relaxed)
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        let all = [&self.bytes, &self.timers, &self.fetches, &self.calls];
        all.iter().all(|it| it.held.load(Ordering::Relaxed) == 0)
    }

    /// The most bytes that may be counted.
    pub fn limit(&self) -> u64 {
        self.bytes.limit
    }

    /// The most timers that may run.
    pub fn timer_limit(&self) -> u64 {
        self.timers.limit
    }

    /// Whether more than three quarters of the bytes are taken: no new request should begin then. An instance is also
    /// high if all instances together leave less than a quarter of what one may hold.
    pub fn is_high(&self) -> bool {
        let reserve = self.bytes.limit / 4;
        let mut gauge = Some(&self.bytes);
        while let Some(of) = gauge {
            if of.held.load(Ordering::Relaxed) > of.limit - reserve {
                return true;
            }
            gauge = of.whole.as_ref();
        }
        false
    }
}

impl Gauge {
    fn new(limit: u64, over: fn(u64) -> Over, whole: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicU64::new(0),
            limit,
            over,
            whole,
        })
    }

    fn charge(gauge: &Arc<Self>, amount: u64) -> Result<Charge, Over> {
        gauge.take(amount)?;
        Ok(Charge {
            gauge: gauge.clone(),
            amount,
        })
    }

    fn take(&self, amount: u64) -> Result<(), Over> {
        let fits = |held: u64| held.checked_add(amount).filter(|sum| *sum <= self.limit);
        let taken = (self.held).fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map_err(|_| (self.over)(self.limit))?;
        if let Some(whole) = &self.whole {
            whole.take(amount).inspect_err(|_| {
                self.held.fetch_sub(amount, Ordering::Relaxed);
            })?;
        }
        Ok(())
    }

    fn give(&self, amount: u64) {
        self.held.fetch_sub(amount, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.give(amount);
        }
    }
}

impl Charge {
    /// Counts this many bytes more.
    ///
    /// # Errors
    /// If that exceeds the limit; the count then stays as it was.
    pub fn grow(&mut self, more: usize) -> Result<(), Over> {
        self.gauge.take(more as u64)?;
        self.amount += more as u64;
        Ok(())
    }

    /// Counts no more than this many bytes from now on.
    pub fn shrink(&mut self, to: usize) {
        let less = self.amount.saturating_sub(to as u64);
        self.gauge.give(less);
        self.amount -= less;
    }

    /// These bytes, which count as long as anyone has a part of them.
    pub fn holding(self, bytes: Vec<u8>) -> Bytes {
        struct Held(
            Vec<u8>,
            #[expect(dead_code, reason = "its end counts")] Charge,
        );

        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        Bytes::from_owner(Held(bytes, self))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.gauge.give(self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            host_memory: Some(1000),
            fetches: Some(2),
            calls: Some(1),
            timers: Some(3),
            ..Limits::default()
        }
    }

    #[test]
    fn what_is_dropped_counts_no_more() {
        let account = Account::new(&limits());
        let mut charge = account.charge(600).unwrap();
        assert_eq!(charge.grow(401).unwrap_err(), Over::HostMemory(1000));
        charge.grow(400).unwrap();
        assert_eq!(account.held(), 1000);
        charge.shrink(10);
        charge.shrink(20);
        assert_eq!(account.held(), 10);
        let bytes = charge.holding(vec![1, 2, 3]);
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!((account.held(), &part[..]), (10, &[2, 3][..]));
        drop(part);
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn no_sum_wraps() {
        let account = Account::new(&limits());
        let _one = account.charge(1).unwrap();
        assert!(account.charge(usize::MAX).is_err());
        assert_eq!(account.held(), 1);
    }

    #[test]
    fn counts_have_limits_of_their_own() {
        let account = Account::new(&limits());
        type Take = fn(&Account) -> Result<Charge, Over>;
        let cases: [(Take, u64, Over); 3] = [
            (Account::timer, 3, Over::Timers(3)),
            (Account::fetch, 2, Over::Fetches(2)),
            (Account::call, 1, Over::Calls(1)),
        ];
        for (take, most, over) in cases {
            let mut taken: Vec<_> = (0..most).map(|_| take(&account).unwrap()).collect();
            assert_eq!(take(&account).unwrap_err(), over);
            taken.pop();
            let _again = take(&account).unwrap();
        }
        assert!(account.is_empty());
        let _one = account.timer().unwrap();
        assert!(!account.is_empty());
    }

    #[test]
    fn what_an_instance_leaves_behind_counts_for_the_vlugin() {
        let account = Account::new(&limits());
        let left = {
            let instance = account.instance();
            let charge = instance.charge(900).unwrap();
            assert!(instance.is_high());
            charge
        };
        let next = account.instance();
        assert_eq!((next.held(), account.held()), (0, 900));
        assert!(next.is_high());
        assert_eq!(next.charge(101).unwrap_err(), Over::HostMemory(1000));
        assert_eq!((next.held(), account.held()), (0, 900));
        drop(left);
        assert!(!next.is_high());
        let _fits = next.charge(1000).unwrap();

        // Fetches and calls are counted for all instances together.
        let _call = next.call().unwrap();
        assert!(account.instance().call().is_err());
    }

    #[test]
    fn as_many_instances_as_there_may_be_have_room() {
        let limits = Limits {
            instances: Some(2),
            ..limits()
        };
        let account = Account::new(&limits);
        let (one, other) = (account.instance(), account.instance());
        let _held = (one.charge(1000).unwrap(), other.charge(700).unwrap());
        assert!(one.is_high() && !other.is_high());
        assert!(one.charge(1).is_err());
    }
}
