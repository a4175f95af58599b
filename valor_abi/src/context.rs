//! [`Context`]: a vlugin's configuration, its state, and its way to the host.

use crate::{config::Config, host::HostRef, http};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    any::{Any, TypeId, type_name},
    panic::Location,
    sync::Arc,
};
use valor_abi_http::{request_into_wire, request_into_wire_absolute, response_from_wire, to_http};
use valor_abi_wire::{Host, unwind};

/// What `on_create` fills and `on_request` reads: one for each mount of a vlugin.
///
/// State is kept by its type, one value of each:
///
/// ```
/// use valor::*;
///
/// pub struct Visits(std::sync::atomic::AtomicU64);
///
/// #[vlugin]
/// pub async fn on_create(cx: &mut Context) {
///     cx.set(Visits(0.into()));
/// }
///
/// pub async fn on_request(cx: &Context, _req: http::Request) -> http::Result<http::Response> {
///     let before = cx.get::<Visits>().0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///     Ok(format!("{before} visits before yours").into())
/// }
/// # fn main() {}
/// ```
pub struct Context {
    host: HostRef,
    config: Config,
    /// A list: there are seldom more than two or three.
    state: Vec<(TypeId, Box<dyn Any + Send + Sync>)>,
    #[cfg(feature = "surf")]
    client: crate::surf::Client,
}

impl Context {
    /// A context, as a host creates it.
    pub(crate) fn new(host: HostRef, config: Config) -> Self {
        Self {
            #[cfg(feature = "surf")]
            client: crate::surf::new(host.clone()),
            host,
            config,
            state: Vec::new(),
        }
    }

    /// What is in this context, which is empty then.
    #[cfg(feature = "tower")]
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(self.host.clone(), Config::default());
        std::mem::replace(self, empty)
    }

    /// The vlugin's name, as plugins.json gives it.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// The vlugin's `config` from plugins.json as a `T`; `None` if there is none, or if it has another shape.
    /// [`Context::raw_config`] returns it unchanged, and the typed form of a vlugin fails its load with the reason. If
    /// you `unwrap` the `None`, the panic names what is wrong with the config as well.
    #[track_caller]
    pub fn config<T: DeserializeOwned>(&self) -> Option<T> {
        let at = Location::caller();
        if self.raw_config().is_null() {
            let wanted = type_name::<T>();
            unwind::note(
                at,
                format!("there is no `config`, but the vlugin asks for a `{wanted}`"),
            );
            return None;
        }
        match self.config.fit() {
            Ok(config) => Some(config),
            Err(error) => {
                log::warn!("of the config of `{}`, {error}", self.name());
                unwind::note(at, error.to_string());
                None
            }
        }
    }

    /// The vlugin's `config` as it is in plugins.json, `null` if there is none.
    pub fn raw_config(&self) -> &Value {
        self.config.read().unwrap_or(&Value::Null)
    }

    pub(crate) fn unread_config(&self) -> &Config {
        &self.config
    }

    /// Stores a value, and replaces one of the same type.
    pub fn set<T: Any + Send + Sync>(&mut self, value: T) {
        let (of, value) = (TypeId::of::<T>(), Box::new(value));
        match self.state.iter_mut().find(|(set, _)| *set == of) {
            Some((_, before)) => *before = value,
            None => self.state.push((of, value)),
        }
    }

    /// The value of this type.
    ///
    /// # Panics
    /// If none was set. That fails one request, with a line in the log that names the calling code.
    #[track_caller]
    pub fn get<T: Any + Send + Sync>(&self) -> &T {
        match self.try_get() {
            Some(value) => value,
            None => panic!(
                "no value of type `{}` is in the context: `on_create` sets it with `cx.set(…)`",
                type_name::<T>()
            ),
        }
    }

    /// The value of this type, if one was set.
    pub fn try_get<T: Any + Send + Sync>(&self) -> Option<&T> {
        let of = TypeId::of::<T>();
        let (_, value) = self.state.iter().find(|(set, _)| *set == of)?;
        value.downcast_ref()
    }

    /// An HTTP client whose requests the host sends: all vlugins share connections, and only the hosts in `allow` can
    /// be reached.
    #[cfg(feature = "surf")]
    pub fn client(&self) -> crate::surf::Client {
        self.client.clone()
    }

    /// Sends a request to another vlugin, by its name and inside the process. That vlugin sees the path as it is: it
    /// has no prefix here.
    ///
    /// The response is what a client of that vlugin would get: 404 if no vlugin has that name, 500 if it failed, 503 if
    /// it is busy, 504 if it took too long, 508 if ten calls are within each other already.
    ///
    /// # Errors
    /// If the request or the response contains something that cannot be carried, or the host is shutting down.
    pub async fn call(&self, vlugin: &str, req: http::Request) -> http::Result<http::Response> {
        let request = request_into_wire(req).await.map_err(to_http)?;
        let response = self.host.call(vlugin, request).await.map_err(to_http)?;
        response_from_wire(response).map_err(to_http)
    }

    /// Sends a request to another server, if the host allows it. [`Context::client`] (feature `surf`) is more
    /// convenient.
    ///
    /// # Errors
    /// 403 if the host is not in `allow`, 502 if it cannot be reached, 504 if it took too long.
    pub async fn fetch(&self, req: http::Request) -> http::Result<http::Response> {
        let request = request_into_wire_absolute(req).await.map_err(to_http)?;
        let response = self.host.fetch(request).await.map_err(to_http)?;
        response_from_wire(response).map_err(to_http)
    }

    /// The host itself, for tests of the code above it.
    #[doc(hidden)]
    pub fn host(&self) -> &Arc<dyn Host> {
        #[cfg(target_family = "wasm")]
        return self.host.as_dyn();
        #[cfg(not(target_family = "wasm"))]
        &self.host
    }
}
