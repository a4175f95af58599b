//! The library's side: what `#[vlugin]` exports, and the host as the library sees it.

use crate::types::{
    FfiInstance, FfiInstanceVtable, FfiInstanceVtableRef, FfiLogRecord, FfiMessage, FfiResult,
    level_filter,
};
use crate::version::{ABI_MAJOR, ABI_MINOR};
use abi_stable::{library::CheckTypeLayout, std_types::RResult};
use valor_abi_wire::{
    BoxFuture, Created, Fault, Host, Instance, LogRecord, Request, Response, scope, unwind::catch,
};
// What the code that `#[vlugin]` writes needs.
pub use crate::types::{FfiHost, ValorModule, ValorModuleRef};
pub use abi_stable::{
    library::{__call_root_module_loader, LibHeader, RootModuleResult},
    prefix_type::{PrefixTypeTrait, WithMetadata},
    std_types::RString,
};
pub use core;

use async_ffi::{FfiFuture, FutureExt};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
pub use valor_abi_wire::metadata::MetadataBlock;

/// The header of the root module that a library exports.
pub const fn header(constructor: extern "C" fn() -> RootModuleResult) -> LibHeader {
    // SAFETY: the constructor is the one that `__export!` writes, which returns a
    // `ValorModuleRef`.
    unsafe { LibHeader::from_constructor::<ValorModuleRef>(constructor, CheckTypeLayout::Yes) }
}

/// The block that describes a library without running it; `#[vlugin]` fills it in.
pub const fn metadata(
    name: &str,
    version: &str,
    unwinds: bool,
    form: u8,
    symbol: &str,
) -> MetadataBlock {
    MetadataBlock::new((ABI_MAJOR, ABI_MINOR), name, version, unwinds, form, symbol)
}

/// What a root module's `create` returns.
pub type FfiCreated = FfiFuture<FfiResult<FfiInstance>>;

/// Creates a vlugin: the body of a root module's `create`.
pub fn create(
    create: impl FnOnce(Arc<dyn Host>, Value) -> Created,
    host: FfiHost,
    config: RString,
) -> FfiCreated {
    let outcome = catch(|| {
        let host: Arc<dyn Host> = Arc::new(ForeignHost::new(host));
        scope::adopt(&host);
        let config: Value = serde_json::from_str(&config)
            .map_err(|error| Fault::error(500, format!("`config` is not JSON: {error}")))?;
        Ok::<_, Fault>(create(host, config))
    });
    async move {
        match outcome.map_err(Fault::from).and_then(|created| created) {
            Ok(created) => match created.await {
                Ok(instance) => RResult::ROk(FfiInstance::new(instance)),
                Err(fault) => RResult::RErr(fault.into()),
            },
            Err(fault) => RResult::RErr(fault.into()),
        }
    }
    .into_ffi()
}

const INSTANCE: &WithMetadata<FfiInstanceVtable> = &WithMetadata::new(FfiInstanceVtable {
    on_request,
    drop: drop_instance,
});

impl FfiInstance {
    pub(super) fn new(instance: Arc<dyn Instance>) -> Self {
        Self {
            data: Box::into_raw(Box::new(instance)).cast_const().cast(),
            vtable: FfiInstanceVtableRef(INSTANCE.static_as_prefix()),
        }
    }
}

unsafe extern "C" fn on_request(
    data: *const (),
    request: FfiMessage,
) -> FfiFuture<FfiResult<FfiMessage>> {
    // SAFETY: `data` comes from `FfiInstance::new` and lives until `drop_instance`; it is only shared here.
    let instance = unsafe { &*data.cast::<Arc<dyn Instance>>() };
    let answer = catch(|| Ok(instance.clone().on_request(request.into_host_request()?)));
    async move {
        match answer.map_err(Fault::from).and_then(|answer| answer) {
            Ok(answer) => match answer.await {
                Ok(response) => RResult::ROk(response.into()),
                Err(fault) => RResult::RErr(fault.into()),
            },
            Err(fault) => RResult::RErr(fault.into()),
        }
    }
    .into_ffi()
}

unsafe extern "C" fn drop_instance(data: *const ()) {
    // SAFETY: `data` comes from `FfiInstance::new`, and the owner calls this once.
    let instance = unsafe { Box::from_raw(data.cast_mut().cast::<Arc<dyn Instance>>()) };
    let _ = catch(move || drop(instance));
}

/// The host as the library sees it. Its name is fetched once.
struct ForeignHost {
    host: FfiHost,
    name: String,
}

impl ForeignHost {
    fn new(host: FfiHost) -> Self {
        let name = host.vtable.name();
        // SAFETY: here and below, `data` belongs to its vtable and lives as long as `host`.
        let name = unsafe { name(host.data) }.into_string();
        Self { host, name }
    }
}

async fn response_of(answer: FfiFuture<FfiResult<FfiMessage>>) -> Result<Response, Fault> {
    answer.await.into_result()?.into_response()
}

impl Host for ForeignHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self, record: &LogRecord<'_>) {
        let log = self.host.vtable.log();
        let record = FfiLogRecord {
            level: record.level as u8,
            line: record.line,
            target: record.target.into(),
            message: record.message.into(),
            file: record.file.into(),
        };
        // SAFETY: see `ForeignHost::new`; the record is only borrowed for the call.
        unsafe { log(self.host.data, record) }
    }

    fn max_level(&self) -> log::LevelFilter {
        let max_level = self.host.vtable.max_level();
        // SAFETY: see `ForeignHost::new`.
        level_filter(unsafe { max_level(self.host.data) })
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let fetch = self.host.vtable.fetch();
        // SAFETY: see `ForeignHost::new`; the future borrows nothing.
        Box::pin(response_of(unsafe {
            fetch(self.host.data, request.into())
        }))
    }

    fn call(&self, vlugin: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let call = self.host.vtable.call();
        // SAFETY: see `ForeignHost::new`; the name is only borrowed for the call.
        Box::pin(response_of(unsafe {
            call(self.host.data, vlugin.into(), request.into())
        }))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let sleep = self.host.vtable.sleep();
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: see `ForeignHost::new`; the future borrows nothing.
        Box::pin(unsafe { sleep(self.host.data, nanos) })
    }

    fn now(&self) -> SystemTime {
        let now = self.host.vtable.now();
        // SAFETY: see `ForeignHost::new`.
        SystemTime::UNIX_EPOCH + Duration::from_nanos(unsafe { now(self.host.data) })
    }

    fn random(&self, buffer: &mut [u8]) {
        let random = self.host.vtable.random();
        // SAFETY: see `ForeignHost::new`.
        let bytes = unsafe { random(self.host.data, buffer.len()) };
        assert_eq!(bytes.len(), buffer.len(), "the host gave no random bytes");
        buffer.copy_from_slice(&bytes);
    }
}

impl Drop for FfiHost {
    fn drop(&mut self) {
        let drop = self.vtable.drop();
        // SAFETY: `data` belongs to this vtable and is not used again.
        unsafe { drop(self.data) }
    }
}

/// Exports a vlugin; only `#[vlugin]` calls it, through `valor`.
///
/// `$VLUGIN` has a `create` that takes a host and a configuration. There is one root module in a library. Its symbols
/// contain the crate's name, so that several such crates can be linked into one program. The metadata block names the
/// symbol of the root module, and is exported itself so that no linker drops it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($VLUGIN:expr, $form:literal, $module:literal, $metadata:literal) => {
        const _: () = {
            use $crate::export::*;

            extern "C" fn create(host: FfiHost, config: RString) -> FfiCreated {
                $crate::export::create(|host, config| $VLUGIN.create(host, config), host, config)
            }

            fn module() -> ValorModuleRef {
                const MODULE: &WithMetadata<ValorModule> =
                    &WithMetadata::new(ValorModule { create });
                ValorModuleRef(MODULE.static_as_prefix())
            }

            extern "C" fn constructor() -> RootModuleResult {
                __call_root_module_loader(module)
            }

            #[unsafe(export_name = $module)]
            pub static HEADER: LibHeader = header(constructor);

            #[unsafe(export_name = $metadata)]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".valor"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__valor"))]
            pub static METADATA: MetadataBlock = metadata(
                $crate::export::core::env!("CARGO_PKG_NAME"),
                $crate::export::core::env!("CARGO_PKG_VERSION"),
                $crate::export::core::cfg!(panic = "unwind"),
                $form,
                $module,
            );
        };
    };
}
