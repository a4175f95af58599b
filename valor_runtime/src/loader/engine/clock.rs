//! How long a call of a guest has run, its limit (`limits.cpu`), and when it gives its thread back to others.
//!
//! `driver` polls each call inside [`on_the_clock`]. The guest's code and its imports both ask the call's [`Clock`],
//! so the host's time counts too. The time until the guest's next turn does not. The first turn is measured by the
//! wall clock, which costs little, and most calls end in it. Later turns are measured by the thread's processor time.
//! So a busy machine costs a guest little: its first turn is charged at most half of the limit.

#[cfg(feature = "wasi")]
use super::ticks::Running;
use super::ticks::ticks;
use std::{
    cell::Cell,
    pin::pin,
    time::{Duration, Instant},
};
use wasmtime::{Store, UpdateDeadline};

/// How long a guest runs before others have their turn.
const TURN: Duration = Duration::from_millis(1);

/// How much time a call may take if it cannot give its thread back.
const SYNCHRONOUS: Duration = Duration::from_millis(5);

/// The guest ran longer in one call than it may.
#[derive(Debug, thiserror::Error)]
#[error("it ran for more than {} s without a pause, its limit (`limits.cpu`)", .0.as_secs_f64())]
pub(in crate::loader) struct OutOfTime(Duration);

/// What a guest does next.
#[derive(Debug, PartialEq)]
pub(in crate::loader) enum Next {
    GoOn,
    /// It has used up its turn.
    GiveWay,
}

/// When a turn began.
#[derive(Debug, Clone, Copy)]
struct Turn {
    wall: Instant,
    cpu: Option<Duration>,
    is_first: bool,
}

impl Turn {
    /// A turn that begins now: the first of a call, or one that is measured exactly.
    fn begin(is_first: bool) -> Self {
        let cpu = if is_first { None } else { processor_time() };
        Self {
            wall: Instant::now(),
            cpu,
            is_first,
        }
    }

    fn elapsed(self) -> Duration {
        match self.cpu {
            Some(began) => processor_time().map_or(Duration::ZERO, |now| now.saturating_sub(began)),
            None => self.wall.elapsed(),
        }
    }
}

thread_local! {
    /// The turn of the call that this thread polls.
    static HERE: Cell<Option<Turn>> = const { Cell::new(None) };
    /// The call that this thread polls has used up its turn.
    static GAVE_WAY: Cell<bool> = const { Cell::new(false) };
    /// The engine's tick when this thread began to poll an instance.
    static POLLED: Cell<u64> = const { Cell::new(0) };
}

/// The processor time of this thread, if the system reports it.
fn processor_time() -> Option<Duration> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::time::{ClockId, clock_gettime};
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    None
}

/// Polls a call, and notes when each of its turns begins.
pub(in crate::loader) async fn on_the_clock<T>(call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    let mut is_first = true;
    std::future::poll_fn(|cx| {
        HERE.set(Some(Turn::begin(is_first)));
        is_first = false;
        call.as_mut().poll(cx)
    })
    .await
}

/// Polls a guest that pauses inside of its calls, and notes when its turns begin. What runs until a pause is a call
/// here.
#[cfg(feature = "wasi")]
pub(in crate::loader) async fn in_turns<T>(guest: impl Future<Output = T>) -> T {
    let mut guest = pin!(guest);
    let mut is_first = true;
    std::future::poll_fn(|cx| {
        let _running = Running::begin();
        // A guest that calls another one polls it, inside of its own turn.
        let outer = (
            HERE.replace(Some(Turn::begin(is_first))),
            GAVE_WAY.replace(false),
        );
        let polled = guest.as_mut().poll(cx);
        is_first = !GAVE_WAY.get();
        HERE.set(outer.0);
        GAVE_WAY.set(outer.1);
        polled
    })
    .await
}

/// Has a store's guest measured at each tick of the engine, by this clock in the store's data. A guest that is over its
/// turn gives its thread back, and one that is over its limit traps.
pub(in crate::loader) fn give_turns<T: 'static>(
    store: &mut Store<T>,
    clock: impl Fn(&mut T) -> &mut Clock + Send + Sync + 'static,
) {
    store.epoch_deadline_callback(move |mut guest| {
        Ok(match clock(guest.data_mut()).tick()? {
            Next::GoOn => UpdateDeadline::Continue(1),
            Next::GiveWay => UpdateDeadline::Yield(1),
        })
    });
}

/// Notes that this thread begins to poll an instance.
pub(in crate::loader) fn begin_poll() {
    POLLED.set(ticks());
}

/// Whether this thread has polled an instance for long enough. Many short calls add up to a long one.
pub(in crate::loader) fn is_poll_over() -> bool {
    ticks().wrapping_sub(POLLED.get()) >= 2
}

/// The time of one call at a time, and its limit.
#[derive(Debug)]
pub(in crate::loader) struct Clock {
    limit: Duration,
    /// How long the finished turns of the call took.
    spent: Duration,
    /// The turn has been long enough, and the guest has not given way yet.
    is_over: bool,
    call: Call,
}

#[derive(Debug)]
enum Call {
    InTurns,
    /// The call cannot give its thread back. Its time counts from the first measurement, a little after it began. If
    /// nobody measures it, no time counts.
    Synchronous(Option<Turn>),
}

impl Clock {
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            spent: Duration::ZERO,
            is_over: false,
            call: Call::InTurns,
        }
    }

    /// Begins a call that runs [`on_the_clock`].
    pub fn begin(&mut self) {
        self.spent = Duration::ZERO;
        self.is_over = false;
        self.call = Call::InTurns;
    }

    /// Begins a call that cannot give its thread back.
    pub fn begin_synchronous(&mut self) {
        self.call = Call::Synchronous(None);
    }

    /// Measures the call. Imports call this before anything that costs time.
    pub fn check(&mut self) -> Result<(), OutOfTime> {
        self.turn().map(drop)
    }

    /// Measures the call, at a tick of the engine or between two parts of an import's work, and says whether the turn
    /// is over.
    pub fn tick(&mut self) -> Result<Next, OutOfTime> {
        let turn = self.turn()?;
        let is_over = self.is_over || turn >= TURN;
        if !is_over || matches!(self.call, Call::Synchronous(_)) {
            return Ok(Next::GoOn);
        }
        self.spent += turn;
        self.is_over = false;
        // A guest that goes on regardless begins another turn.
        HERE.set(Some(Turn::begin(false)));
        GAVE_WAY.set(true);
        Ok(Next::GiveWay)
    }

    /// How long this turn has taken.
    fn turn(&mut self) -> Result<Duration, OutOfTime> {
        match &mut self.call {
            Call::InTurns => {
                let here = HERE.get();
                let mut turn = here.map_or(Duration::ZERO, Turn::elapsed);
                if here.is_some_and(|here| here.is_first) {
                    self.spent = Duration::ZERO;
                }
                if turn >= TURN && here.is_some_and(|here| here.is_first) {
                    self.spent += turn.min(self.limit / 2);
                    self.is_over = true;
                    HERE.set(Some(Turn::begin(false)));
                    turn = Duration::ZERO;
                }
                match self.spent + turn > self.limit {
                    true => Err(OutOfTime(self.limit)),
                    false => Ok(turn),
                }
            }
            Call::Synchronous(turn) => {
                let turn = turn.get_or_insert_with(|| Turn::begin(false)).elapsed();
                match turn > SYNCHRONOUS {
                    true => Err(OutOfTime(SYNCHRONOUS)),
                    false => Ok(turn),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once, yield_now};

    /// Computes for this long.
    fn compute(time: Duration) {
        let since = Turn::begin(false);
        while since.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn turns_add_up_to_the_limit_and_the_time_between_them_does_not_count() {
        let mut clock = Clock::new(Duration::from_millis(100));
        clock.begin();
        let call = async {
            loop {
                compute(Duration::from_millis(15));
                match clock.tick() {
                    Ok(Next::GiveWay) => yield_now().await,
                    Ok(Next::GoOn) => panic!("a turn without an end"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        let mut call = pin!(on_the_clock(call));
        let mut turns = 0;
        let error = loop {
            match block_on(poll_once(call.as_mut())) {
                Some(error) => break error,
                None => turns += 1,
            }
            // Others run for longer than the whole limit.
            std::thread::sleep(Duration::from_millis(30));
        };
        assert!(turns > 2, "over after {turns} turns");
        assert!(error.contains("more than 0.1 s"), "{error}");
    }

    #[test]
    fn a_call_that_cannot_give_way_has_less_time() {
        let mut clock = Clock::new(Duration::from_secs(60));
        clock.begin_synchronous();
        let mut looks = 0;
        while clock.tick().is_ok_and(|next| next == Next::GoOn) {
            looks += 1;
            compute(Duration::from_millis(1));
        }
        assert!((2..100).contains(&looks), "{looks}");
        clock.begin();
        assert!(clock.check().is_ok());
    }
}
