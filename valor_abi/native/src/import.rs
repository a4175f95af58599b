//! The host's side: a library that was opened becomes a [`LoadedModule`], which creates vlugins, and a [`Host`] becomes
//! what the library receives.

use crate::types::{
    FfiHost, FfiHostVtable, FfiHostVtableRef, FfiInstance, FfiLogRecord, FfiMessage, FfiResult,
    ValorModuleRef,
};
use crate::version::ABI_MINOR;
/// What [`LoadedModule::check`] takes and fails with.
pub use abi_stable::library::{AbiHeader, AbiHeaderRef, LibraryError};
use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::check_layout_compatibility,
    library::RootModule,
    prefix_type::WithMetadata,
    std_types::{RResult, RStr, RVec},
};
use async_ffi::{FfiFuture, FutureExt};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use valor_abi_wire::{
    BoxFuture, Created, Fault, Host, Instance, LogRecord, Request, Response,
    unwind::{Caught, catch},
};

/// Why a library's root module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The error of `abi_stable`. In its comparison, this program's side is the expected one.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The library has an older minor version, and what it expects is not what this program has. This is `abi_stable`'s
    /// report, in which the library's side is the expected one.
    #[error("{0}")]
    Older(String),
    /// The library does not contain its layouts.
    #[error("it does not contain the layout of its types")]
    NoLayout,
}

/// The root module of a library that stays open as long as the process lives.
#[derive(Clone, Copy)]
pub struct LoadedModule {
    module: ValorModuleRef,
}

impl LoadedModule {
    /// Checks the layout of everything that crosses the boundary against this program's own, and then takes the root
    /// module.
    ///
    /// The older of two versions must be a part of the newer one. `abi_stable` allows more fields at the end of a
    /// prefix type on the side that it finds, but not on the side that expects. Which side that is matters only for the
    /// comparison: every access to such a field asks the table itself whether it has it.
    ///
    /// # Errors
    /// Another version of `abi_stable`, another layout of a type.
    ///
    /// # Safety
    /// `header` is the address of the root module's header, exported by a library that was built with `#[vlugin]`, and
    /// that library is never unloaded.
    pub unsafe fn check(header: AbiHeaderRef) -> Result<Self, Unfit> {
        let header = header.upgrade()?;
        let theirs = header.version_strings().parsed();
        let theirs = theirs.map_err(LibraryError::from)?;
        let layout = header.layout().ok_or(Unfit::NoLayout)?;
        let module = if theirs.minor >= ABI_MINOR.into() {
            header.init_root_module::<ValorModuleRef>()?
        } else {
            check_layout_compatibility(layout, ValorModuleRef::LAYOUT)
                .map_err(|report| Unfit::Older(report.to_string()))?;
            // SAFETY: the layouts were compared: what the library has is a part of ours.
            unsafe { header.init_root_module_with_unchecked_layout::<ValorModuleRef>() }?
        };
        Ok(Self { module })
    }

    /// The version of this program's ABI, as `abi_stable` compares it.
    pub fn version() -> &'static str {
        ValorModuleRef::VERSION_STRINGS.version.as_str()
    }

    /// Creates the vlugin for one of its mounts.
    pub fn create(&self, host: Arc<dyn Host>, config: &Value) -> Created {
        let creating = self.module.create()(FfiHost::new(host), config.to_string().into());
        Box::pin(async move {
            let instance = creating.await.into_result()?;
            Ok(Arc::new(Foreign { instance }) as Arc<dyn Instance>)
        })
    }
}

/// A vlugin on the other side.
pub(super) struct Foreign {
    pub(super) instance: FfiInstance,
}

impl Instance for Foreign {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin(async move {
            let on_request = self.instance.vtable.on_request();
            // SAFETY: `data` belongs to this vtable and lives as long as `self`.
            let answer = unsafe { on_request(self.instance.data, request.into()) };
            answer.await.into_result()?.into_response()
        })
    }
}

impl Drop for FfiInstance {
    fn drop(&mut self) {
        let drop = self.vtable.drop();
        // SAFETY: `data` belongs to this vtable and is not used again.
        unsafe { drop(self.data) }
    }
}

const HOST: &WithMetadata<FfiHostVtable> = &WithMetadata::new(FfiHostVtable {
    name,
    log,
    max_level,
    fetch,
    call,
    sleep,
    now,
    random,
    drop: drop_host,
});

impl FfiHost {
    /// Hands a host over to a library.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self {
            data: Box::into_raw(Box::new(host)).cast_const().cast(),
            vtable: FfiHostVtableRef(HOST.static_as_prefix()),
        }
    }
}

/// The host behind a pointer that a library passed back.
///
/// # Safety
/// `data` comes from `FfiHost::new` and has not been dropped.
unsafe fn host<'a>(data: *const ()) -> &'a Arc<dyn Host> {
    // SAFETY: as the caller promises; hosts are only ever shared.
    unsafe { &*data.cast::<Arc<dyn Host>>() }
}

unsafe extern "C" fn name(data: *const ()) -> abi_stable::std_types::RString {
    // SAFETY: the library calls its vtable with its own `data`, here and below.
    let host = unsafe { host(data) };
    catch(|| host.name().into()).unwrap_or_default()
}

unsafe extern "C" fn log(data: *const (), record: FfiLogRecord<'_>) {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    let _ = catch(|| {
        host.log(&LogRecord {
            level: log::Level::iter()
                .find(|level| *level as u8 == record.level)
                .unwrap_or(log::Level::Error),
            target: record.target.as_str(),
            message: record.message.as_str(),
            file: record.file.as_str(),
            line: record.line,
        });
    });
}

unsafe extern "C" fn max_level(data: *const ()) -> u8 {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    catch(|| host.max_level() as u8).unwrap_or(log::LevelFilter::Off as u8)
}

type Answer = FfiFuture<FfiResult<FfiMessage>>;

/// The host's answer for the library; a panic of the host's own code is a fault.
fn answer(
    asked: impl FnOnce(Request) -> BoxFuture<'static, Result<Response, Fault>>,
    request: FfiMessage,
) -> Answer {
    // In `Caught` at once: it may be dropped before it is polled.
    let answer = catch(|| Ok(Caught::new(asked(request.into_request()?))));
    async move {
        let answer = match answer.map_err(Fault::from).and_then(|answer| answer) {
            Ok(answer) => answer.await,
            Err(fault) => return RResult::RErr(fault.into()),
        };
        match answer.map_err(Fault::from).and_then(|answer| answer) {
            Ok(response) => RResult::ROk(response.into()),
            Err(fault) => RResult::RErr(fault.into()),
        }
    }
    .into_ffi()
}

unsafe extern "C" fn fetch(data: *const (), request: FfiMessage) -> Answer {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    answer(|request| host.fetch(request), request)
}

unsafe extern "C" fn call(data: *const (), vlugin: RStr<'_>, request: FfiMessage) -> Answer {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    answer(|request| host.call(vlugin.as_str(), request), request)
}

unsafe extern "C" fn sleep(data: *const (), nanos: u64) -> FfiFuture<()> {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    let sleeping = catch(|| Caught::new(host.sleep(Duration::from_nanos(nanos))));
    async move {
        let slept = match sleeping {
            Ok(sleeping) => sleeping.await,
            Err(panicked) => Err(panicked),
        };
        // A sleep can only fail in this way, which `async-ffi` passes on to the sleeper.
        if let Err(panicked) = slept {
            std::panic::resume_unwind(Box::new(panicked.message));
        }
    }
    .into_ffi()
}

unsafe extern "C" fn now(data: *const ()) -> u64 {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    let now = catch(|| host.now()).unwrap_or_else(|_| std::time::SystemTime::now());
    now.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

unsafe extern "C" fn random(data: *const (), len: usize) -> RVec<u8> {
    // SAFETY: see `name`.
    let host = unsafe { host(data) };
    let bytes = catch(|| {
        let mut bytes = vec![0; len];
        host.random(&mut bytes);
        bytes
    });
    // No bytes at all rather than some that are not random: the library sees that they are missing.
    bytes.unwrap_or_default().into()
}

unsafe extern "C" fn drop_host(data: *const ()) {
    // SAFETY: `data` comes from `FfiHost::new`, and the owner calls this once.
    let host = unsafe { Box::from_raw(data.cast_mut().cast::<Arc<dyn Host>>()) };
    let _ = catch(move || drop(host));
}
