//! What cannot be served: mounts that answer 503, and a plugins.json with a fault. Programs that serve the rest anyway
//! call these; `/_health` and the page for people show it.

use super::{Runtime, RuntimeError};
use crate::{
    Definition, Response,
    definition::Faulty,
    place::Place,
    registry::{Lack, Mount, Origin, Unavailable},
};
use std::sync::Arc;
use valor_abi_wire::lock::locked;

impl Runtime {
    /// Mounts a vlugin that could not be built or loaded. It answers 503, and the other vlugins are served. Only
    /// `/_plugins` shows the reason, which may name files or quote the vlugin. `/_health` reports an `optional` one as
    /// not installed, and is degraded by any other.
    ///
    /// # Errors
    /// [`RuntimeError::Registry`].
    pub fn add_unavailable(
        &self,
        definition: &Definition,
        reason: &str,
    ) -> Result<(), RuntimeError> {
        self.add_all_unavailable([(definition, reason)])
    }

    /// The same for many, in one step: either all of them are mounted, or none.
    ///
    /// # Errors
    /// [`RuntimeError::Registry`].
    pub fn add_all_unavailable<'a>(
        &self,
        all: impl IntoIterator<Item = (&'a Definition, &'a str)>,
    ) -> Result<(), RuntimeError> {
        let all = all.into_iter();
        let mounts = all.map(|(definition, reason)| self.unavailable(definition, reason));
        Ok(self.dispatch.registry.insert(mounts.collect())?)
    }

    pub(super) fn unavailable(&self, definition: &Definition, reason: &str) -> Mount {
        let lack = match definition.optional {
            true => Lack::NotInstalled,
            false => Lack::NotLoaded,
        };
        let origin = Origin {
            kind: Some(definition.kind),
            definition: Some(Arc::new(definition.clone())),
            ..Origin::default()
        };
        self.lacking_at(Place::from(definition), origin, lack, reason)
    }

    /// A mount that answers 503.
    fn lacking_at(&self, place: Place, origin: Origin, lack: Lack, reason: &str) -> Mount {
        let detail = format!(
            "the vlugin `{}` is not available: it is {}",
            place.name,
            lack.as_str()
        );
        let vlugin = crate::from_fn(move |_| {
            let response = Response::problem(503, &detail);
            async { Ok(response) }
        });
        let origin = Origin {
            unavailable: Some(Unavailable {
                lack,
                reason: reason.to_owned(),
            }),
            ..origin
        };
        place.mount(vlugin, origin, &self.limits)
    }

    /// Mounts something that answers 503 in the place of a definition with a fault. Only `/_plugins` shows the reason;
    /// `/_health` is degraded. [`Runtime::commit`] replaces or removes it.
    ///
    /// ```
    /// use std::path::Path;
    /// use valor_runtime::{Runtime, definition::Definitions, http};
    ///
    /// # futures_lite::future::block_on(async {
    /// let text = br#"{ "plugins": [{ "type": "no such", "name": "it" }] }"#;
    /// let (sound, faults) = Definitions::sound_from_bytes(text.to_vec(), Path::new("plugins.json"));
    /// assert!(sound.is_empty());
    /// let runtime = Runtime::builder().build()?;
    /// runtime.add_faulty(&sound.faulty()[0], &faults.unwrap().to_string())?;
    /// let req = http::Request::new(http::Method::Get, "http://localhost/it");
    /// assert_eq!(runtime.handle(req).await.status(), 503);
    /// # Ok::<(), valor_runtime::RuntimeError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`RuntimeError::Registry`].
    pub fn add_faulty(&self, faulty: &Faulty, reason: &str) -> Result<(), RuntimeError> {
        let place = Place::new(&faulty.name).prefix(&faulty.prefix);
        let mount = self.lacking_at(place, Origin::default(), Lack::NotLoaded, reason);
        Ok(self.dispatch.registry.insert(vec![mount])?)
    }

    /// Sets what is wrong with the plugins.json as a whole: `/_health` is degraded, and the page for people shows it.
    /// `None` if there is nothing.
    ///
    /// ```
    /// use valor_runtime::{Runtime, http};
    ///
    /// # futures_lite::future::block_on(async {
    /// let runtime = Runtime::builder().build()?;
    /// runtime.set_ready(true);
    /// runtime.set_fault(Some("plugins.json:1:1: expected an object".into()));
    /// let req = http::Request::new(http::Method::Get, "http://localhost/_health");
    /// let health = runtime.handle(req).await.body_string().await.unwrap();
    /// assert!(health.contains("degraded"));
    /// # Ok::<(), valor_runtime::RuntimeError>(())
    /// # }).unwrap();
    /// ```
    pub fn set_fault(&self, fault: Option<String>) {
        *locked(&self.fault) = fault;
    }
}
