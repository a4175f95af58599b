//! The guest's executor: one task for each request, and one for each body that a fetch sends.
//!
//! The exports call [`run`] after they have noted what happened. It polls the woken tasks, and returns when nothing is
//! left to do now, or after [`TURNS`] polls. Then it asks for another call, so that the host can run others in between.

use crate::{bodies, imports, message, numbered::Numbered};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};
use valor_abi_wire::{Fault, unwind};

/// The most polls in one call of the host.
const TURNS: usize = 256;

/// The task that creates the vlugin; neither a request nor a fetch has this number.
pub const CREATION: u32 = 0;

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
    /// Whether the host already has the response.
    responded: bool,
}

struct Woken {
    id: u32,
    queued: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            READY.with_borrow_mut(|ready| ready.push_back(self));
        }
    }
}

thread_local! {
    static TASKS: RefCell<Numbered<Task>> = const { RefCell::new(Numbered::new()) };
    static READY: RefCell<VecDeque<Arc<Woken>>> = const { RefCell::new(VecDeque::new()) };
    /// The running task, and whether the host has its response.
    static RUNNING: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
    /// The running task was removed by its own code.
    static REMOVED: Cell<bool> = const { Cell::new(false) };
}

/// Starts a task, which [`run`] polls.
pub fn start(id: u32, future: impl Future<Output = ()> + 'static) {
    let woken = Arc::new(Woken {
        id,
        queued: AtomicBool::new(true),
    });
    let task = Task {
        future: Box::pin(future),
        woken: woken.clone(),
        responded: false,
    };
    READY.with_borrow_mut(|ready| ready.push_back(woken));
    // Dropped outside the borrow, for a number that is used again before its task has ended.
    let before = TASKS.with_borrow_mut(|tasks| tasks.insert(id, task));
    drop(before);
}

/// Drops a task, wherever it is.
pub fn remove(id: u32) {
    if RUNNING.get().is_some_and(|(running, _)| running == id) {
        REMOVED.set(true);
    }
    let task = TASKS.with_borrow_mut(|tasks| tasks.remove(id));
    drop(task);
}

/// Polls the woken tasks.
pub fn run() {
    for _ in 0..TURNS {
        let Some(woken) = READY.with_borrow_mut(VecDeque::pop_front) else {
            return;
        };
        poll(&woken);
    }
    if READY.with_borrow(|ready| !ready.is_empty()) {
        imports::wake();
    }
}

fn poll(woken: &Arc<Woken>) {
    woken.queued.store(false, Ordering::Relaxed);
    let id = woken.id;
    // Out of the map while it runs, because its code may start and remove others. A task from an earlier use of the
    // number is not this one.
    let task = TASKS.with_borrow_mut(|tasks| match tasks.get(id) {
        Some(task) if Arc::ptr_eq(&task.woken, woken) => tasks.remove(id),
        _ => None,
    });
    let Some(mut task) = task else { return };
    RUNNING.set(Some((id, task.responded)));
    REMOVED.set(false);
    let waker = Waker::from(woken.clone());
    let polled = task.future.as_mut().poll(&mut Context::from_waker(&waker));
    if polled.is_pending() && !REMOVED.get() {
        task.responded = RUNNING.get().is_some_and(|(_, responded)| responded);
        TASKS.with_borrow_mut(|tasks| tasks.insert(id, task));
    } else {
        drop(task);
    }
    RUNNING.set(None);
}

/// Hands over the response to a request, from inside its task.
pub fn respond(id: u32, block: &[u8]) {
    RUNNING.set(Some((id, true)));
    imports::respond(id, block);
}

/// Reports panics before they become traps: to the log, and to whoever waits for the task.
pub fn tell_of_panics() {
    std::panic::set_hook(Box::new(|info| {
        let message = unwind::message_of(info.payload());
        let fault = Fault::from(unwind::Panicked::at(message, info.location()));
        match RUNNING.get() {
            Some((CREATION, _)) => imports::ready(&message::encode_fault(&fault)),
            Some((id, _)) if bodies::is_fetch(id) => log(&fault),
            Some((id, false)) => imports::respond(id, &message::encode_fault_message(&fault)),
            Some((id, true)) => {
                log(&fault);
                let why = format!("the body's stream panicked: {fault}");
                imports::write(id, why.as_bytes(), message::PieceKind::Failed);
            }
            None => log(&fault),
        }
    }));
}

/// Logs a fault that no response can report.
fn log(fault: &Fault) {
    let (level, message) = (log::Level::Error as u32, fault.to_string());
    imports::log(level, "valor::panic", &message, "", 0);
}
