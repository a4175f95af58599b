//! [`NativeHost`]: the host of code in this process, in a library or linked into the program. The runtime wraps it
//! around the [`RuntimeHost`] of each such vlugin.
//!
//! It counts what the host holds for the vlugin against `limits.host_memory`, and its timers against `limits.timers`.
//! The bytes of modules and scripts are counted where they come in. Here no byte is copied on the way, so this is the
//! only place to count. Like everything about native code, it guards against faults: by itself, a library may take as
//! much memory as it likes.

use super::{RuntimeHost, counted::counted};
use crate::{
    Body, BoxFuture, Fault, Request, Response,
    account::{Account, Charge},
    timer::Timer,
};
use smol::lock::Semaphore;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use valor_abi_wire::{Host, LogRecord};

/// The host of one native vlugin.
pub struct NativeHost {
    host: Arc<RuntimeHost>,
    /// Places for running timers.
    timers: Arc<Semaphore>,
}

impl NativeHost {
    /// The host of a vlugin whose code is in this process.
    pub fn new(host: Arc<RuntimeHost>) -> Arc<Self> {
        let timers = usize::try_from(host.account().timer_limit()).unwrap_or(usize::MAX);
        let timers = Arc::new(Semaphore::new(timers));
        Arc::new(Self { host, timers })
    }

    fn account(&self) -> &Account {
        self.host.account()
    }

    /// What the host holds for a request until it has ended. A stream's pieces come one at a time.
    fn held(&self, request: &Request) -> Result<Arc<Charge>, Fault> {
        let body = match &request.body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Stream { .. } => 0,
        };
        let bytes = request.head.as_bytes().len().saturating_add(body);
        Ok(Arc::new(self.account().charge(bytes)?))
    }
}

impl Host for NativeHost {
    fn name(&self) -> &str {
        self.host.name()
    }

    fn log(&self, record: &LogRecord<'_>) {
        self.host.log(record);
    }

    fn max_level(&self) -> log::LevelFilter {
        self.host.max_level()
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        match self.held(&request) {
            Ok(held) => {
                let fetching = self.host.fetch(request);
                Box::pin(async move { Ok(counted(fetching.await?, vec![held])) })
            }
            Err(over) => Box::pin(async { Err(over) }),
        }
    }

    fn call(&self, vlugin: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        match self.held(&request) {
            Ok(held) => {
                let calling = self.host.call(vlugin, request);
                Box::pin(async move { Ok(counted(calling.await?, vec![held])) })
            }
            Err(over) => Box::pin(async { Err(over) }),
        }
    }

    /// Over `limits.timers`, a new timer waits until another has ended. It never ends before its own time.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let timers = self.timers.clone();
        let at = Instant::now().checked_add(time);
        Box::pin(async move {
            let _place = timers.acquire_arc().await;
            match at {
                Some(at) => Timer::at(at).await,
                None => std::future::pending().await,
            }
        })
    }

    fn now(&self) -> SystemTime {
        self.host.now()
    }

    fn random(&self, buffer: &mut [u8]) {
        self.host.random(buffer);
    }
}
