//! Who is notified while a vlugin blocks a thread. `dispatch::watch` sees that, and calls [`tell`]; a server listens
//! for as long as it serves, and replaces the blocked threads.

use std::{
    fmt,
    sync::{Arc, Mutex, Weak},
};
use valor_abi_wire::lock::locked;

type Listener = dyn Fn() + Send + Sync;

static LISTENERS: Mutex<Vec<Weak<Listener>>> = Mutex::new(Vec::new());

/// That somebody listens, until this is dropped.
#[must_use = "dropped, it ends"]
pub struct Listening(#[expect(dead_code, reason = "held")] Arc<Listener>);

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listening")
    }
}

/// Calls this about every 50 milliseconds while a vlugin has blocked a thread for at least as long.
///
/// [`Server::run`](crate::server::Server::run) does that for its threads. A program with others may as well.
pub fn on_blocked(listener: impl Fn() + Send + Sync + 'static) -> Listening {
    let listener: Arc<Listener> = Arc::new(listener);
    let mut listeners = locked(&LISTENERS);
    listeners.retain(|it| it.strong_count() > 0);
    listeners.push(Arc::downgrade(&listener));
    Listening(listener)
}

/// Tells all who listen.
pub(crate) fn tell() {
    let listeners: Vec<_> = locked(&LISTENERS)
        .iter()
        .filter_map(Weak::upgrade)
        .collect();
    // Their code runs without the lock.
    listeners.iter().for_each(|listener| listener());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn who_listens_no_more_is_forgotten() {
        let told = Arc::new(AtomicUsize::new(0));
        let listen = || {
            let told = told.clone();
            on_blocked(move || _ = told.fetch_add(1, Ordering::SeqCst))
        };
        for _ in 0..10 {
            drop(listen());
        }
        let listening = listen();
        // Only what others hold at the same time is kept beside it.
        let held = locked(&LISTENERS)
            .iter()
            .filter(|it| it.strong_count() > 0)
            .count();
        assert_eq!(locked(&LISTENERS).len(), held);
        tell();
        assert!(told.swap(0, Ordering::SeqCst) > 0);
        drop(listening);
        tell();
        assert_eq!(told.load(Ordering::SeqCst), 0);
    }
}
