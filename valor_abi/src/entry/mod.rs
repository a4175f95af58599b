//! The glue around a vlugin: turns an author's type into something that answers wire requests.
//!
//! `#[vlugin]` creates an [`Entry`] from the author's code. The native boundary, the guest, the test kit and the
//! runtime (for crates that are compiled in) all create their vlugins from it, so that panics, configuration, logging
//! and the scope of the host are the same everywhere.

use crate::{
    Context, Vlugin,
    config::Config,
    host::HostRef,
    served::{Plain, Served},
};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use valor_abi_http::{answer_wire, to_fault};
#[cfg(not(target_family = "wasm"))]
use valor_abi_wire::unwind::drop_caught;
use valor_abi_wire::{BoxFuture, Created, Fault, Instance, Request, Response};

#[cfg(not(target_family = "wasm"))]
mod panics;
#[cfg(all(feature = "tokio", not(target_family = "wasm")))]
mod runtime;
#[cfg(not(target_family = "wasm"))]
mod scoped;

#[cfg(all(feature = "tokio", target_family = "wasm"))]
compile_error!(
    "the feature `tokio` of `valor` is for native vlugins: a WebAssembly module has no threads and no sockets. Use \
     `valor::sleep`, `cx.fetch(…)` and `cx.client()` instead, or ask a native vlugin with `cx.call(…)`. If the crate \
     is for both, switch the feature on in `[target.'cfg(not(target_family = \"wasm\"))'.dependencies]`"
);

/// A module has one host, and its panics are traps: there is nothing to enter and nothing to catch.
#[cfg(target_family = "wasm")]
mod scoped {
    use crate::host::HostRef;
    use valor_abi_wire::{Body, Fault, unwind::Panicked};

    #[derive(Clone)]
    pub(super) struct Scope;

    impl Scope {
        pub(super) fn new(_: HostRef) -> Result<Self, Fault> {
            Ok(Self)
        }
    }

    pub(super) struct Scoped;

    impl Scoped {
        #[allow(clippy::new_ret_no_self)] // As it is elsewhere.
        pub(super) async fn new<F: Future>(_: Scope, future: F) -> Result<F::Output, Panicked> {
            Ok(future.await)
        }
    }

    pub(super) fn body(_: Scope, body: Body) -> Body {
        body
    }
}

use scoped::{Scope, Scoped};

/// A crate's vlugin: its name, and how to create it. `#[vlugin]` writes one, `VLUGIN`, for tests and for programs that
/// link the crate.
#[derive(Clone, Copy)]
pub struct Entry {
    name: &'static str,
    version: &'static str,
    create: fn(HostRef, Config) -> Created,
}

impl Entry {
    /// The entry of a type; `name` and `version` are those of its crate.
    pub const fn of<V: Vlugin>(name: &'static str, version: &'static str) -> Self {
        Self::serving::<Plain<V>>(name, version)
    }

    /// The entry of what `#[vlugin]` writes.
    #[doc(hidden)]
    pub const fn serving<V: Served>(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            create: |host, config| Box::pin(create::<V>(host, config)),
        }
    }

    /// The name of the crate.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The version of the crate.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// Creates the vlugin for one of its mounts; for hosts.
    #[doc(hidden)]
    pub fn create(&self, host: HostRef, config: impl Into<Config>) -> Created {
        (self.create)(host, config.into())
    }
}

async fn create<V: Served>(host: HostRef, config: Config) -> Result<Arc<dyn Instance>, Fault> {
    #[cfg(feature = "tracing")]
    crate::trace::set_up();
    let scope = Scope::new(host.clone())?;
    let mut cx = Context::new(host, config);
    let creating = Scoped::new(scope.clone(), async move {
        let config = configured::<V::Config>(cx.unread_config())?;
        let vlugin = V::on_create(config, &mut cx).await.map_err(to_fault)?;
        Ok::<_, Fault>((vlugin, cx))
    });
    let (vlugin, cx) = creating.await??;
    Ok(Arc::new(Running {
        parts: Some((vlugin, cx)),
        scope,
    }))
}

/// The configuration for the vlugin. If there is none, an empty object may do: then every field has a default.
fn configured<C: DeserializeOwned>(config: &Config) -> Result<C, Fault> {
    config.fit().or_else(|misfit| {
        // `null`, or text that is not JSON, which does not fit.
        if config.read().is_ok_and(|it| !it.is_null()) {
            return Err(Fault::error(500, misfit.to_string()));
        }
        C::deserialize(serde_json::Value::Object(serde_json::Map::new())).map_err(|error| {
            let missing = error.to_string();
            // The error for `{}` is only useful for types with fields.
            let why = match missing.starts_with("missing field") {
                true => missing,
                false => misfit.why(),
            };
            Fault::error(
                500,
                format!("there is no `config`, but the vlugin needs one: {why}"),
            )
        })
    })
}

struct Running<V> {
    // Only taken out in `drop`, so that a panic of the author's destructor can be caught.
    parts: Option<(V, Context)>,
    scope: Scope,
}

impl<V: Served> Instance for Running<V> {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        let scope = self.scope.clone();
        Box::pin(async move {
            let answering = Scoped::new(scope.clone(), async move {
                let (vlugin, cx) = self.parts.as_ref().expect("taken only when dropped");
                answer_wire(request, |req| vlugin.on_request(cx, req)).await
            });
            let mut response = answering.await??;
            response.body = scoped::body(scope, response.body);
            Ok(response)
        })
    }
}

#[cfg(not(target_family = "wasm"))]
impl<V> Drop for Running<V> {
    fn drop(&mut self) {
        let parts = self.parts.take();
        let dropped = self.scope.enter(|| drop_caught(parts));
        self.scope.log_panic(dropped.err());
    }
}

/// Exports a vlugin; only `#[vlugin]` calls it.
///
/// `$entry` is the [`Entry`](crate::Entry). A second macro of the name `$once` in one crate is an error, wherever it
/// is: there is one vlugin in a file. The boundary of the target does the rest.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($VLUGIN:ident, $once:ident, $entry:expr, $form:literal, $module:literal, $metadata:literal) => {
        /// This crate's vlugin, for programs that link it and for tests.
        pub const $VLUGIN: $crate::__private::Entry = $entry;

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $once {
            () => {};
        }

        $crate::__private::boundary!($VLUGIN, $form, $module, $metadata);
    };
}

/// Passes on what `#[vlugin]` writes for an `app`, if this crate has the feature for it; only `#[vlugin]` calls it.
#[cfg(feature = "tower")]
#[doc(hidden)]
#[macro_export]
macro_rules! __app {
    ($($written:tt)*) => {
        $($written)*
    };
}

/// Reports that the feature is not there.
#[cfg(not(feature = "tower"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __app {
    ($($written:tt)*) => {
        ::core::compile_error!(
            "#[vlugin] on `app` needs a feature of valor_abi: add `features = [\"tower\"]` to `valor` in Cargo.toml"
        );
    };
}
