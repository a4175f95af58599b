//! Mutexes whose holder may have panicked: what is behind each of them is whole at every step, so that nobody else has
//! to end with the one who did. Hosts and the glue around vlugins take every lock of std's, and wait on every
//! condition, through these functions: none of them panics, and none reports a panic of somebody else's.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

/// Waits for the lock, poisoned or not.
///
/// ```
/// use std::sync::Mutex;
/// use valor_abi_wire::lock::locked;
///
/// let number = Mutex::new(1);
/// let panicked = std::panic::catch_unwind(|| {
///     let _held = locked(&number);
///     panic!("its holder ends");
/// });
/// assert!(panicked.is_err() && number.is_poisoned());
/// assert_eq!(*locked(&number), 1);
/// ```
pub fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock, poisoned or not; `None` while somebody holds it.
pub fn try_locked<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// What is behind a lock that nobody else can hold.
pub fn inside<T: ?Sized>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// Lets go of the lock until the condition is notified, or, if there is a limit, until that time is over. It may also
/// return for no reason.
pub fn wait<'m, T>(
    condition: &Condvar,
    guard: MutexGuard<'m, T>,
    limit: Option<Duration>,
) -> MutexGuard<'m, T> {
    match limit {
        None => condition
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner),
        Some(limit) => {
            let woken = condition.wait_timeout(guard, limit);
            woken.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{panic, sync::Arc, thread};

    /// A mutex whose holder has panicked.
    fn poisoned<T: Send + 'static>(value: T) -> Arc<Mutex<T>> {
        let mutex = Arc::new(Mutex::new(value));
        let holder = mutex.clone();
        let ended = thread::spawn(move || {
            let _held = locked(&holder);
            panic::resume_unwind(Box::new(()));
        });
        assert!(ended.join().is_err() && mutex.is_poisoned());
        mutex
    }

    #[test]
    fn whoever_comes_behind_a_panic_goes_on() {
        let mutex = poisoned(1);
        *try_locked(&mutex).expect("nobody holds it") += 1;
        let held = locked(&mutex);
        assert!(try_locked(&mutex).is_none());
        let condition = Condvar::new();
        drop(wait(&condition, held, Some(Duration::ZERO)));
        let mut mutex = Arc::into_inner(mutex).expect("nobody else has it");
        assert_eq!(*inside(&mut mutex), 2);
    }

    #[test]
    fn a_wait_without_a_limit_ends_when_it_is_notified() {
        let mutex = poisoned(false);
        let condition = Arc::new(Condvar::new());
        let (other, notifies) = (mutex.clone(), condition.clone());
        let mut held = locked(&mutex);
        let thread = thread::spawn(move || {
            *locked(&other) = true;
            notifies.notify_one();
        });
        while !*held {
            held = wait(&condition, held, None);
        }
        drop(held);
        thread.join().expect("it only notifies");
    }
}
