//! [`locked`]: a mutex whose holder may have panicked. What is behind each of them is whole at every step, so that
//! nobody else has to end with the one who did.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the lock, poisoned or not.
///
/// ```
/// use std::sync::Mutex;
/// use valor_runtime::lock::locked;
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
