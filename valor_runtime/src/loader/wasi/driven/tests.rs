use super::*;
use std::{
    future::poll_fn,
    sync::atomic::AtomicUsize,
    thread::{self, ThreadId},
};

/// How often something has happened.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

type DroppedBy = Arc<Mutex<Option<ThreadId>>>;

/// Work that never ends. Counts how often it is polled and handed over, and notes who drops it.
fn counted() -> (Arc<Driven>, [Count; 2], DroppedBy) {
    struct OnDrop(DroppedBy);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(thread::current().id());
        }
    }
    let (counts, dropped): ([Count; 2], _) = Default::default();
    let [polled, handed_over] = counts.clone();
    let on_drop = OnDrop(DroppedBy::clone(&dropped));
    let work = poll_fn(move |_| {
        let _ = &on_drop;
        polled.add();
        Poll::Pending
    });
    let driven = Driven::new(Box::pin(work), false, move || handed_over.add());
    (Arc::new(driven), counts, dropped)
}

/// Does this inside of other work.
fn inside(act: impl FnOnce() + Send + 'static) {
    let mut act = Some(act);
    let work = poll_fn(move |_| {
        act.take().into_iter().for_each(|act| act());
        Poll::Ready(())
    });
    Driven::new(Box::pin(work), false, || ()).drive().unwrap();
}

#[test]
fn inside_of_other_work_it_is_handed_over_each_time() {
    let (driven, [polled, handed_over], _) = counted();
    let it = driven.clone();
    inside(move || {
        for _ in 0..3 {
            it.drive().unwrap();
        }
    });
    assert_eq!((polled.get(), handed_over.get()), (0, 1));
    driven.drive().unwrap();
    assert_eq!(polled.get(), 1);
    let cx = Context::from_waker(Waker::noop());
    let key = driven.wait();
    assert!(driven.is_settled(key, &cx));
    // There is nothing to do.
    let it = driven.clone();
    inside(move || it.drive().unwrap());
    assert_eq!((polled.get(), handed_over.get()), (1, 1));
    driven.news();
    let it = driven.clone();
    inside(move || it.drive().unwrap());
    assert_eq!((polled.get(), handed_over.get()), (1, 2));
}

/// A task may keep a thread, so there is one, and it stays until nothing is left to do.
#[test]
fn one_task_at_a_time_has_it() {
    let (driven, [polled, handed_over], _) = counted();
    let hand_over = |it: &Arc<Driven>| {
        it.news();
        let it = it.clone();
        inside(move || it.drive().unwrap());
    };
    hand_over(&driven);
    driven.drive().unwrap();
    // More has come in before the task is done.
    hand_over(&driven);
    driven.waker.wake_by_ref();
    assert!(!driven.take_unattended());
    assert_eq!((polled.get(), handed_over.get()), (1, 1));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let cx = Context::from_waker(&waker);
    let key = driven.wait();
    assert!(!driven.is_settled(key, &cx));
    assert_eq!(woken.0.get(), 1);
    driven.drive().unwrap();
    assert!(driven.is_settled(key, &cx));
    hand_over(&driven);
    assert_eq!((polled.get(), handed_over.get()), (2, 2));
}

/// Another thread polls it, and sees to what has come in: the task need not wait for that.
#[test]
fn a_task_does_not_wait_for_a_thread_that_is_at_work() {
    let (driven, _, _) = counted();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let cx = Context::from_waker(&waker);
    let key = driven.wait();
    driven.drive().unwrap();
    locked(&driven.waiters.inner).is_polled = true;
    driven.news();
    assert!(driven.is_settled(key, &cx));
    // If there will be something to do behind that, it is woken then.
    locked(&driven.waiters.inner).is_runnable = true;
    assert!(!driven.is_settled(key, &cx));
    assert_eq!(woken.0.get(), 0);
    driven.wake_all();
    assert_eq!(woken.0.get(), 1);
}

#[derive(Default)]
struct Woken(Count);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.add();
    }
}

#[test]
fn inside_of_other_work_it_is_not_dropped() {
    let (driven, _, dropped) = counted();
    let it = driven.clone();
    inside(move || it.end());
    // Another thread does it.
    while dropped.lock().unwrap().is_none() {
        thread::yield_now();
    }
    assert_ne!(*dropped.lock().unwrap(), Some(thread::current().id()));
}

/// What an instance has called is dropped with it, and must not run meanwhile.
#[test]
fn work_that_is_dropped_runs_no_other_work() {
    struct Drives(Arc<Driven>);
    impl Drop for Drives {
        fn drop(&mut self) {
            self.0.drive().unwrap();
        }
    }
    let (driven, [polled, handed_over], _) = counted();
    let drives = Drives(driven.clone());
    let work = async move {
        let _drives = drives;
        std::future::pending::<()>().await;
    };
    let other = Driven::new(Box::pin(work), false, || ());
    other.drive().unwrap();
    other.end();
    assert_eq!((polled.get(), handed_over.get()), (0, 1));
}
