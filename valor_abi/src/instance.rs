//! The glue around a vlugin: from an author's type to something that answers wire requests.
//!
//! `#[vlugin]` makes an [`Entry`] of the author's code. The native boundary, the guest, the
//! test kit and the runtime (for crates that are compiled in) all create their vlugins from it,
//! so that panics, configuration, logging and the scope of the host are the same everywhere.

use crate::{
    Context, Vlugin, convert,
    fault::Fault,
    host::HostRef,
    wire::{self, BoxFuture},
};
#[cfg(not(target_family = "wasm"))]
use crate::{host, unwind::drop_caught};
use serde::de::DeserializeOwned;
use std::sync::Arc;

pub use crate::config::Config;

#[cfg(not(target_family = "wasm"))]
mod scoped;

/// A module has one host, and a panic of its is a trap: there is nothing to enter and nothing to catch.
#[cfg(target_family = "wasm")]
mod scoped {
    use crate::{host::HostRef, unwind::Panicked, wire};

    pub(super) struct Scoped;

    impl Scoped {
        #[allow(clippy::new_ret_no_self)] // As it is elsewhere.
        pub(super) async fn new<F: Future>(_: HostRef, future: F) -> Result<F::Output, Panicked> {
            Ok(future.await)
        }
    }

    pub(super) fn body(_: HostRef, body: wire::Body) -> wire::Body {
        body
    }
}

use scoped::Scoped;

/// A vlugin as a library has it: what it is called, and how to create it.
#[derive(Clone, Copy)]
pub struct Entry {
    name: &'static str,
    version: &'static str,
    create: fn(HostRef, Config) -> Created,
}

/// A created vlugin, or why there is none.
pub type Created = BoxFuture<'static, Result<Arc<dyn Instance>, Fault>>;

/// A created vlugin.
pub trait Instance: Send + Sync + 'static {
    /// Answers a request. Dropping the future cancels it.
    fn on_request(
        self: Arc<Self>,
        request: wire::Request,
    ) -> BoxFuture<'static, Result<wire::Response, Fault>>;
}

impl Entry {
    /// The entry of a type; `name` and `version` are those of its crate.
    pub const fn of<V: Vlugin>(name: &'static str, version: &'static str) -> Self {
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

    /// Creates the vlugin for one place where it is mounted.
    pub fn create(&self, host: HostRef, config: impl Into<Config>) -> Created {
        (self.create)(host, config.into())
    }
}

async fn create<V: Vlugin>(host: HostRef, config: Config) -> Result<Arc<dyn Instance>, Fault> {
    let mut cx = Context::new(host.clone(), config);
    let creating = Scoped::new(host.clone(), async move {
        let config = configured::<V::Config>(cx.unread_config())?;
        let vlugin = V::on_create(config, &mut cx).await?;
        Ok::<_, Fault>((vlugin, cx))
    });
    let (vlugin, cx) = creating.await??;
    Ok(Arc::new(Running {
        parts: Some((vlugin, cx)),
        host,
    }))
}

/// The configuration as the vlugin wants it. If there is none, one of no keys may do: every field has a default then.
fn configured<C: DeserializeOwned>(config: &Config) -> Result<C, Fault> {
    config.fit().or_else(|misfit| {
        // `null`, or text that is no JSON, which is a misfit.
        if config.read().is_ok_and(|it| !it.is_null()) {
            return Err(Fault::error(500, misfit.to_string()));
        }
        C::deserialize(serde_json::Value::Object(serde_json::Map::new())).map_err(|error| {
            let missing = error.to_string();
            // What is wrong with `{}` says something only of what has fields.
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
    // Taken out in `drop` alone, so that a destructor of the author's can be caught.
    parts: Option<(V, Context)>,
    host: HostRef,
}

impl<V: Vlugin> Instance for Running<V> {
    fn on_request(
        self: Arc<Self>,
        request: wire::Request,
    ) -> BoxFuture<'static, Result<wire::Response, Fault>> {
        let host = self.host.clone();
        Box::pin(async move {
            let answering = Scoped::new(host.clone(), async move {
                let (vlugin, cx) = self.parts.as_ref().expect("taken only when dropped");
                convert::answer(request, |req| vlugin.on_request(cx, req)).await
            });
            let mut response = answering.await??;
            response.body = scoped::body(host, response.body);
            Ok(response)
        })
    }
}

#[cfg(not(target_family = "wasm"))]
impl<V> Drop for Running<V> {
    fn drop(&mut self) {
        let host = self.host.clone();
        let parts = self.parts.take();
        let dropped = host::enter(&host, || drop_caught(parts));
        scoped::log_panic(&host, dropped.err());
    }
}
