//! File descriptors: how many this process may open, and how many of them may be connections that vlugins cause.
//!
//! Each connection that `host::fetch` opens to another server holds a [`Permit`]. Permits are limited to a quarter of
//! all descriptors, so that the server can accept clients, reach scripts and open files whatever vlugins do.
//! Connections to scripts do not count, or the fetches of one vlugin would end the others. There are as many of those
//! as there are requests and answers that use them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections hold a permit.
static OUTBOUND: AtomicUsize = AtomicUsize::new(0);

/// Permission for one more connection; dropping it returns the permit.
#[derive(Debug)]
pub(crate) struct Permit(&'static AtomicUsize);

/// All permitted connections are in use.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "all {share} connections that this host may have open to others are in use, a quarter of its {limit} file \
     descriptors: lower `limits.fetches` of the vlugins that use them, or raise the limit (`ulimit -n`, `LimitNOFILE`)"
)]
pub(crate) struct Short {
    share: usize,
    limit: usize,
}

impl Permit {
    /// # Errors
    /// If all permitted connections are in use.
    pub(crate) fn take() -> Result<Self, Short> {
        let limit = limit();
        Self::of(&OUTBOUND, limit)
    }

    fn of(taken: &'static AtomicUsize, limit: usize) -> Result<Self, Short> {
        let share = share(limit);
        let fits = |held| (held < share).then_some(held + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(Self(taken)),
            Err(_) => Err(Short { share, limit }),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many of this many descriptors may be connections to others.
fn share(limit: usize) -> usize {
    (limit / 4).max(1)
}

/// How many descriptors this process may have open now.
#[cfg(unix)]
fn limit() -> usize {
    use rustix::process::{Resource, getrlimit};
    let soft = getrlimit(Resource::Nofile).current;
    soft.map_or(usize::MAX, |soft| {
        usize::try_from(soft).unwrap_or(usize::MAX)
    })
}

/// Windows has no such limit. This is what one process can reasonably serve.
#[cfg(not(unix))]
fn limit() -> usize {
    65_536
}

/// Raises this process's limit of open file descriptors to what the system allows, and returns the new limit. A
/// program calls it before it serves. Most systems begin with 1024, for the sake of programs that cannot handle
/// higher numbers.
///
/// Child processes inherit the limit.
pub fn raise_descriptor_limit() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // macOS has a second limit behind this one, and refuses anything above it.
        let most = match maximum {
            most if cfg!(target_vendor = "apple") => Some(most.unwrap_or(u64::MAX).min(10_240)),
            most => most,
        };
        let is_lower = current.is_some_and(|soft| most.is_none_or(|most| soft < most));
        if is_lower {
            let raised = Rlimit {
                current: most,
                maximum,
            };
            if let Err(error) = setrlimit(Resource::Nofile, raised) {
                log::debug!(target: "valor", "the limit of open files stays as it is: {error}");
            }
        }
    }
    limit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_quarters_are_for_others() {
        static TAKEN: AtomicUsize = AtomicUsize::new(0);
        let take = || Permit::of(&TAKEN, 1000);
        let mut permits: Vec<_> = (0..250).map(|_| take().unwrap()).collect();
        let short = take().unwrap_err().to_string();
        assert!(
            short.contains("all 250 connections") && short.contains("1000 file"),
            "{short}"
        );
        permits.pop();
        permits.push(take().unwrap());
        drop(permits);
        assert_eq!(TAKEN.load(Ordering::Relaxed), 0);
        // Even the smallest limit leaves one.
        assert_eq!(share(3), 1);
    }
}
