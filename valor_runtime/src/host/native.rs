//! [`NativeHost`]: the host of code in this process, a library's or that of a vlugin linked into the program. The runtime gives
//! it to those in the place of the [`RuntimeHost`] that it is made of.
//!
//! It counts what the host holds for the vlugin against `limits.host_memory`, and its timers against `limits.timers`.
//! Modules and scripts are counted where their bytes come in; here no byte is copied on the way, so this is the only
//! place. It is a guard against faults, as all that concerns native code: a library may take as much memory as it
//! likes by itself.

use super::{RuntimeHost, counted::counted};
use crate::{
    Body, BoxFuture, Fault, Request, Response,
    account::{Account, Charge},
};
use smol::lock::Semaphore;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use valor::host::{Host, LogRecord};

/// The host of one native vlugin.
pub struct NativeHost {
    host: Arc<RuntimeHost>,
    /// Places for timers that run.
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

    /// What the host holds of a request until it is through. A stream's pieces come one at a time.
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

    /// Over `limits.timers` it ends when it would have, or once another one has ended if that is later.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let timers = self.timers.clone();
        let at = Instant::now().checked_add(time);
        Box::pin(async move {
            let _place = timers.acquire_arc().await;
            match at {
                Some(at) => _ = smol::Timer::at(at).await,
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
