//! `wasi:clocks/monotonic-clock`, in both versions, on Valor's own timer. wasmtime's own would start a runtime of tokio
//! for the first timer of a component.
//!
//! `imports` puts these into the linker, in place of wasmtime's. A timer counts in the instance's account.

use super::guest::Guest;
use crate::{
    account::{Charge, Over},
    timer::Timer,
};
use std::time::{Duration, Instant};
use wasmtime::component::{Accessor, HasData, Linker, Resource};
use wasmtime_wasi::{
    p2::{DynPollable, Pollable, bindings::clocks::monotonic_clock as v2, subscribe},
    p3::bindings::clocks::{monotonic_clock as v3, types::Duration as Nanoseconds},
};

/// Adds the clock of both versions.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    v2::add_to_linker::<_, Clocks>(linker, |guest| View(guest))?;
    v3::add_to_linker::<_, Clocks>(linker, |guest| View(guest))
}

struct Clocks;

impl HasData for Clocks {
    type Data<'a> = View<'a>;
}

struct View<'a>(&'a mut Guest);

impl View<'_> {
    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The time from now until this moment of the clock.
    fn until(&self, moment: u64) -> Duration {
        Duration::from_nanos(moment.saturating_sub(self.nanoseconds()))
    }

    fn subscribe(&mut self, time: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let ring = Ring {
            at: Instant::now().checked_add(time),
            _charge: self.0.account.timer()?,
        };
        let ring = self.0.table.push(ring)?;
        subscribe(&mut self.0.table, ring)
    }
}

/// A moment that a guest waits for. `None` is too far away to come.
struct Ring {
    at: Option<Instant>,
    _charge: Charge,
}

#[async_trait::async_trait]
impl Pollable for Ring {
    async fn ready(&mut self) {
        match self.at {
            Some(at) if at <= Instant::now() => {}
            Some(at) => {
                Timer::at(at).await;
            }
            None => std::future::pending().await,
        }
    }
}

impl v2::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.nanoseconds())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let time = self.until(when);
        self.subscribe(time)
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe(Duration::from_nanos(when))
    }
}

impl v3::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.nanoseconds())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<Nanoseconds> {
        Ok(1)
    }
}

impl<T> v3::HostWithStore<T> for Clocks {
    async fn wait_until(store: &Accessor<T, Self>, when: u64) -> wasmtime::Result<()> {
        let (time, charge) = store.with(|mut view| {
            let view = view.get();
            (view.until(when), view.0.account.timer())
        });
        wait(time, charge).await
    }

    async fn wait_for(store: &Accessor<T, Self>, time: Nanoseconds) -> wasmtime::Result<()> {
        let charge = store.with(|mut view| view.get().0.account.timer());
        wait(Duration::from_nanos(time), charge).await
    }
}

async fn wait(time: Duration, charge: Result<Charge, Over>) -> wasmtime::Result<()> {
    let _charge = charge?;
    match Instant::now().checked_add(time) {
        Some(at) => {
            Timer::at(at).await;
        }
        None => std::future::pending().await,
    }
    Ok(())
}
