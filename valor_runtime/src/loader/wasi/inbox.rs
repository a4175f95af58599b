//! What an instance shares with those who wait for it: requests on their way in, and how it is.
//!
//! `instance` puts requests in, `driver` takes them out. One lock guards all of it, held for moments and never while a
//! guest runs.

use crate::{Fault, Request, account::Account};
use futures_channel::oneshot;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Waker},
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;
use wasmtime_wasi_http::WasiBody;

/// What becomes of a request: a response, whose body may go on, or none.
pub(super) type Answer = Result<http::Response<WasiBody>, Unanswered>;

/// A request without a response.
pub(super) enum Unanswered {
    /// Another instance may answer it.
    Unheard(Request),
    Failed(Fault),
    /// The host holds as much for the vlugin as it may, or nearly as much. Later there will be room.
    Full,
}

/// A request, and where its response goes.
pub(super) struct Call {
    pub request: Request,
    pub reply: Arc<Reply>,
}

/// Where a response goes.
pub(super) struct Reply(Mutex<To>);

struct To {
    /// `None` once it was given.
    sender: Option<oneshot::Sender<Answer>>,
    /// Its key among those that nobody waits for.
    abandoned: Option<u64>,
}

impl Reply {
    pub fn new() -> (Arc<Self>, oneshot::Receiver<Answer>) {
        let (sender, answered) = oneshot::channel();
        let to = To {
            sender: Some(sender),
            abandoned: None,
        };
        (Arc::new(Self(Mutex::new(to))), answered)
    }

    /// Gives the answer, if none was given before.
    pub fn give(&self, inbox: &Inbox, answer: Answer) {
        let mut to = locked(&self.0);
        let (sender, abandoned) = (to.sender.take(), to.abandoned);
        drop(to);
        let Some(sender) = sender else { return };
        if let Some(key) = abandoned {
            inbox.settle(key);
        }
        let _ = sender.send(answer);
    }

    /// Nobody waits for it any more.
    pub fn abandon(&self, inbox: &Inbox) {
        let mut to = locked(&self.0);
        if to.sender.is_some() && to.abandoned.is_none() {
            to.abandoned = Some(inbox.abandon());
        }
    }

    fn is_abandoned(&self) -> bool {
        locked(&self.0).abandoned.is_some()
    }
}

pub(super) struct Inbox {
    state: Mutex<State>,
    /// What the host holds for the instance.
    pub account: Account,
}

#[derive(Default)]
struct State {
    calls: VecDeque<Call>,
    /// Wakes the driver from inside.
    waker: Option<Waker>,
    has_begun: bool,
    /// The driver has nothing to do.
    is_idle: bool,
    /// Requests that it works for though nobody waits for them, the oldest first, and since when.
    abandoned: BTreeMap<u64, Instant>,
    /// The last key among them.
    last: u64,
    /// Why the instance has ended.
    ended: Option<Fault>,
    /// It ended before it was done.
    is_broken: bool,
    /// It is to end, and gets no more requests.
    is_retired: bool,
}

impl Inbox {
    pub fn new(account: Account) -> Self {
        Self {
            state: Mutex::default(),
            account,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Puts a request in. If the instance has ended, whoever waits hears so.
    pub fn push(&self, call: Call) {
        let mut state = self.lock();
        let waker = match state.ended.is_some() || state.is_retired {
            true => {
                drop(state);
                call.reply
                    .give(self, Err(Unanswered::Unheard(call.request)));
                return;
            }
            false => {
                state.is_idle = false;
                state.calls.push_back(call);
                state.waker.take()
            }
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next request that somebody waits for, or the driver is woken when one comes.
    pub fn next(&self, cx: &Context<'_>) -> Option<Call> {
        loop {
            let mut state = self.lock();
            let Some(call) = state.calls.pop_front() else {
                state.waker = Some(cx.waker().clone());
                return None;
            };
            drop(state);
            if !call.reply.is_abandoned() {
                return Some(call);
            }
            (call.reply).give(self, Err(Unanswered::Unheard(call.request)));
        }
    }

    pub fn begin(&self) {
        self.lock().has_begun = true;
    }

    /// Whether the instance has begun, or why not.
    pub fn begun(&self) -> Option<Result<(), Fault>> {
        let state = self.lock();
        match (&state.ended, state.has_begun) {
            (_, true) => Some(Ok(())),
            (Some(fault), false) => Some(Err(fault.clone())),
            (None, false) => None,
        }
    }

    pub fn set_idle(&self, is_idle: bool) {
        let mut state = self.lock();
        state.is_idle = is_idle && state.calls.is_empty();
    }

    pub fn is_idle(&self) -> bool {
        self.lock().is_idle
    }

    /// Notes a request that nobody waits for any more, and gives its key.
    fn abandon(&self) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let key = state.last;
        state.abandoned.insert(key, Instant::now());
        key
    }

    /// It has done with a request that nobody waited for.
    fn settle(&self, key: u64) {
        self.lock().abandoned.remove(&key);
    }

    pub fn is_abandoned(&self) -> bool {
        !self.lock().abandoned.is_empty()
    }

    /// Whether it has worked for longer than this for one who has left.
    pub fn is_stuck(&self, grace: Duration) -> bool {
        let state = self.lock();
        let oldest = state.abandoned.first_key_value();
        oldest.is_some_and(|(_, since)| since.elapsed() > grace)
    }

    /// It gets no more requests. Those that are on their way go to another one.
    pub fn retire(&self) {
        self.lock().is_retired = true;
    }

    pub fn is_retired(&self) -> bool {
        self.lock().is_retired
    }

    pub fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Why it has ended, if it was not done: what it still writes is not all.
    pub fn breakage(&self) -> Option<Fault> {
        let state = self.lock();
        state.ended.clone().filter(|_| state.is_broken)
    }

    /// Why it has ended.
    pub fn fault(&self) -> Option<Fault> {
        self.lock().ended.clone()
    }

    /// The instance has ended. Requests that it had not heard of may go to another one, if it had begun. They get their
    /// answer before anyone can see the end, which is for those that it had heard of.
    pub fn end(&self, fault: &Fault, is_broken: bool) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        state.is_retired = true;
        let has_begun = state.has_begun;
        let calls = std::mem::take(&mut state.calls);
        drop(state);
        for call in calls {
            let answer = match has_begun {
                true => Unanswered::Unheard(call.request),
                false => Unanswered::Failed(fault.clone()),
            };
            call.reply.give(self, Err(answer));
        }
        let mut state = self.lock();
        if state.ended.is_none() {
            state.is_broken = is_broken;
            state.ended = Some(fault.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use std::{
        pin::Pin,
        task::{Poll, Wake},
    };

    fn inbox() -> Inbox {
        Inbox::new(Account::new(&Limits::default()))
    }

    fn call() -> (Call, Arc<Reply>, oneshot::Receiver<Answer>) {
        let (reply, answered) = Reply::new();
        let request = Request::new("GET", "/").unwrap();
        let call = Call {
            request,
            reply: reply.clone(),
        };
        (call, reply, answered)
    }

    /// Clients that leave one after the other do not add up to one that left long ago.
    #[test]
    fn an_instance_is_stuck_with_its_oldest_request() {
        let (inbox, grace) = (inbox(), Duration::from_millis(50));
        let (_, first, _first) = call();
        let (_, second, _second) = call();
        first.abandon(&inbox);
        std::thread::sleep(grace * 2);
        assert!(inbox.is_stuck(grace));
        second.abandon(&inbox);
        second.abandon(&inbox);
        first.give(&inbox, Err(Unanswered::Full));
        assert!(!inbox.is_stuck(grace) && inbox.is_abandoned());
        std::thread::sleep(grace * 2);
        assert!(inbox.is_stuck(grace));
        second.give(&inbox, Err(Unanswered::Full));
        assert!(!inbox.is_abandoned());
    }

    /// Whoever sees the end before the answer takes it for the fault of that request.
    #[test]
    fn what_was_not_heard_of_is_answered_before_the_end() {
        struct Saw(Arc<Inbox>, Mutex<Option<bool>>);
        impl Wake for Saw {
            fn wake(self: Arc<Self>) {
                *locked(&self.1) = Some(self.0.has_ended());
            }
        }
        let inbox = Arc::new(inbox());
        inbox.begin();
        let (call, _reply, mut answered) = call();
        inbox.push(call);
        let saw = Arc::new(Saw(inbox.clone(), Mutex::default()));
        let waker = Waker::from(saw.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut answered).poll(&mut cx).is_pending());
        inbox.end(&Fault::error(502, "it"), true);
        assert_eq!(*locked(&saw.1), Some(false));
        let answer = Pin::new(&mut answered).poll(&mut cx);
        assert!(matches!(
            answer,
            Poll::Ready(Ok(Err(Unanswered::Unheard(_))))
        ));
        assert!(inbox.has_ended() && inbox.breakage().is_some());
    }

    #[test]
    fn a_request_that_nobody_waits_for_is_not_begun() {
        let (inbox, cx) = (inbox(), Context::from_waker(Waker::noop()));
        let (left, reply, _answered) = call();
        let (waited_for, other, _other) = call();
        inbox.push(left);
        inbox.push(waited_for);
        reply.abandon(&inbox);
        let next = inbox.next(&cx).map(|call| call.reply);
        assert!(next.is_some_and(|reply| Arc::ptr_eq(&reply, &other)));
        assert!(inbox.next(&cx).is_none() && !inbox.is_abandoned());
    }
}
