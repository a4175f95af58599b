//! Panics caught where they happen, with their message and place.
//!
//! Nothing may unwind across a boundary: `abi_stable` and `async-ffi` would abort the process. So the glue runs all of
//! an author's code, destructors included, through [`catch`]. The message and place come from a panic hook that is
//! installed once in each library (each has its own copy of std) and leaves panics outside [`catch`] to the previous
//! hook.

mod noted;

pub use noted::note;
use std::{
    any::Any,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};
#[cfg(not(target_family = "wasm"))]
use std::{
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// The message of the panic.
    pub message: String,
    /// `file:line:column`, if it is known.
    pub place: Option<String>,
}

impl Panicked {
    /// A panic with this message, as a hook sees it.
    pub fn at(message: String, location: Option<&Location<'_>>) -> Self {
        Self {
            message: noted::explained(message, location),
            place: location.map(ToString::to_string),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// The last one that was noted, and its message as others see it.
    static LAST: RefCell<Option<(Panicked, String)>> = const { RefCell::new(None) };
}

/// Runs a piece of code, as [`catch`] does elsewhere.
///
/// # Errors
/// None.
#[cfg(target_family = "wasm")]
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panicked> {
    // There, a panic is a trap: nothing returns from it, and the guest's own hook reports it.
    Ok(code())
}

/// Runs a piece of code and turns its panic into an error.
///
/// # Errors
/// The panic's message and place.
///
/// ```
/// let caught = valor_abi_wire::unwind::catch(|| panic!("no {}", "luck")).unwrap_err();
/// assert_eq!(caught.message, "no luck");
/// assert!(caught.place.unwrap().contains(".rs:"));
/// ```
#[cfg(not(target_family = "wasm"))]
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panicked> {
    install_hook();
    CATCHING.with(|depth| depth.set(depth.get() + 1));
    let outcome = panic::catch_unwind(AssertUnwindSafe(code));
    CATCHING.with(|depth| depth.set(depth.get() - 1));
    outcome.map_err(|payload| {
        // While a thread ends, this may already be gone.
        let noted = LAST.try_with(|last| last.take()).ok().flatten();
        let message = message_of(&*payload);
        // Another payload's destructor may panic, so it is never run.
        if payload.is::<String>() || payload.is::<&str>() {
            drop(payload);
        } else {
            std::mem::forget(payload);
        }
        // The last noted panic is a different one if the code caught that itself, and went on with something that no
        // hook sees (`resume_unwind`).
        match noted {
            Some((panicked, seen)) if seen == message => panicked,
            _ => Panicked {
                message,
                place: None,
            },
        }
    })
}

/// Whether a panic on this thread would be caught by [`catch`]: for other hooks than this module's.
#[cfg(not(target_family = "wasm"))]
pub fn is_catching() -> bool {
    CATCHING.try_with(Cell::get).unwrap_or(0) > 0
}

#[cfg(not(target_family = "wasm"))]
fn install_hook() {
    static HOOK: Once = Once::new();
    // The hook cannot be set while this thread panics, nor ever after if that was tried here.
    if std::thread::panicking() {
        return;
    }
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !is_catching() {
                return before(info);
            }
            let seen = message_of(info.payload());
            let panicked = Panicked::at(seen.clone(), info.location());
            let _ = LAST.try_with(|last| last.replace(Some((panicked, seen))));
        }));
    });
}

/// The message of a panic.
pub fn message_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// A future or a stream whose polls and destructor are caught.
///
/// A poll that panics returns the panic and drops what is inside; what panics while it is dropped is leaked.
pub struct Caught<T> {
    inner: Option<Pin<Box<T>>>,
}

impl<T> Caught<T> {
    /// Puts it on the heap, so that it can be dropped separately.
    pub fn new(inner: T) -> Self {
        Self {
            inner: Some(Box::pin(inner)),
        }
    }

    /// Polls what is inside through `poll`, or returns `None` when it is already gone.
    pub fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> R,
    ) -> Option<Result<R, Panicked>> {
        let inner = self.inner.as_mut()?.as_mut();
        let polled = catch(|| poll(inner, cx));
        if polled.is_err() {
            self.clear();
        }
        Some(polled)
    }

    /// Drops what is inside; a panic of its destructor is the result.
    pub fn clear(&mut self) -> Option<Panicked> {
        drop_caught(self.inner.take()?).err()
    }
}

impl<T> Drop for Caught<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_with(cx, |future, cx| future.poll(cx)) {
            Some(Ok(Poll::Pending)) => Poll::Pending,
            Some(Ok(Poll::Ready(output))) => match self.clear() {
                Some(panicked) => {
                    let _ = drop_caught(output);
                    Poll::Ready(Err(panicked))
                }
                None => Poll::Ready(Ok(output)),
            },
            Some(Err(panicked)) => Poll::Ready(Err(panicked)),
            None => Poll::Ready(Err(Panicked {
                message: "a future was polled after it had ended".into(),
                place: None,
            })),
        }
    }
}

/// Drops a value of an author's type, with the panic of its destructor as the error.
///
/// # Errors
/// The panic's message and place.
pub fn drop_caught<T>(value: T) -> Result<(), Panicked> {
    catch(move || drop(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }

    #[test]
    fn a_destructor_that_panics_is_an_error() {
        assert_eq!(drop_caught(Bomb).unwrap_err().message, "boom");
    }

    #[test]
    fn a_panic_that_went_on_is_not_taken_for_the_one_before_it() {
        let caught = catch(|| {
            let _ = panic::catch_unwind(|| panic!("the first"));
            panic::resume_unwind(Box::new("the second"));
        });
        let caught = caught.unwrap_err();
        assert_eq!((&*caught.message, caught.place), ("the second", None));
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_not_dropped() {
        let caught = catch(|| panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(caught.message, "a panic without a message");
    }

    #[test]
    fn panics_are_caught_while_a_thread_panics_and_while_it_ends() {
        thread_local! {
            static LAST_DROPPED: DropsCaught = const { DropsCaught };
        }
        struct DropsCaught;
        impl Drop for DropsCaught {
            fn drop(&mut self) {
                // A panic that leaves this function would end the process.
                assert_eq!(drop_caught(Bomb).unwrap_err().message, "boom");
            }
        }
        let ended = std::thread::spawn(|| {
            LAST_DROPPED.with(|_| ());
            // Created after the value above, and so gone before that is dropped.
            let _ = catch(|| panic!("noted"));
            let _during = DropsCaught;
            panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(ended.join().is_err());
    }
}
