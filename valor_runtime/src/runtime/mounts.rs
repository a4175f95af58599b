//! The runtime's own vlugins, `/_health`, `/_metrics`, `/_plugins` and `/_welcome`. They get what they need from it,
//! and are mounted like any other.

use super::{Runtime, RuntimeError};
use crate::{
    Limits,
    admin::{self, Administer, RegistryAccess, Welcome},
    dispatch::Front,
    loader::native::images_mapped,
    place::Place,
    registry::Lack,
};
use serde_json::{Value, json};
use std::sync::{Arc, Weak};
use valor_abi_wire::lock::locked;

/// How many seconds `/_plugins` has to answer. This is longer than the limits of loading, which name the vlugin.
const LOADING: f64 = 600.0;

impl Runtime {
    pub(super) fn mount_own(self: &Arc<Self>, access: &RegistryAccess) -> Result<(), RuntimeError> {
        let dispatch = Arc::downgrade(&self.dispatch);
        let unavailable = {
            let runtime: Weak<Self> = Arc::downgrade(self);
            move || runtime.upgrade().map_or_else(Vec::new, |it| it.lacking())
        };
        self.add(
            "_health",
            admin::health(self.readiness.clone(), unavailable),
        )?;
        let text = move || {
            dispatch.upgrade().map_or_else(String::new, |dispatch| {
                let vlugins = dispatch.registry.list().len();
                dispatch.metrics.text(images_mapped(), vlugins)
            })
        };
        self.add("_metrics", admin::metrics(text))?;
        if !matches!(access, RegistryAccess::Off) {
            let runtime: Weak<Self> = Arc::downgrade(self);
            let limits = Limits {
                timeout: Some(LOADING),
                ..Limits::default()
            };
            self.add(
                Place::new("_plugins").limits(limits),
                admin::plugins(access.clone(), move || runtime.upgrade()),
            )?;
        }
        Ok(())
    }
}

impl Runtime {
    pub(super) fn mount_welcome(
        self: &Arc<Self>,
        access: RegistryAccess,
        welcome: Welcome,
    ) -> Result<(), RuntimeError> {
        let runtime: Weak<Self> = Arc::downgrade(self);
        // A browser does not send the token to it in the way that it wants.
        let has_plugins = matches!(access, RegistryAccess::Loopback);
        let state = Arc::new(move || Some(runtime.upgrade()?.shown(has_plugins)));
        let vlugin = admin::welcome(access.clone(), welcome, state);
        self.add("_welcome", vlugin)?;
        let mount = self.dispatch.registry.get("_welcome");
        let mount = mount.expect("it was mounted just now");
        let front = Front {
            mount,
            takes: Box::new(move |head| admin::is_for_page(&access, head)),
        };
        let _ = self.dispatch.front.set(front);
        Ok(())
    }

    /// What cannot be served.
    fn lacking(&self) -> Vec<(String, Lack)> {
        let mounts = self.dispatch.registry.list();
        let lacking = mounts.iter().filter_map(|mount| {
            let lack = mount.origin.unavailable.as_ref()?.lack;
            Some((mount.name.to_string(), lack))
        });
        let troubled = self.troubled().into_iter();
        let faulty = locked(&self.fault).is_some();
        let faulty = faulty.then(|| ("plugins.json".to_owned(), Lack::NotLoaded));
        lacking
            .chain(troubled.map(|(name, _)| (name, Lack::EndedTooOften)))
            .chain(faulty)
            .collect()
    }

    /// What the welcome page shows: what `/_health`, `/_plugins` and `/_metrics` do, and links to them.
    fn shown(&self, has_plugins: bool) -> Value {
        let totals = self.dispatch.metrics.totals();
        let vlugins = self.list().into_iter().map(|described| {
            let name = described["name"].as_str().unwrap_or_default();
            let (requests, errors) = totals.get(name).copied().unwrap_or_default();
            admin::shown(&described, requests, errors)
        });
        let vlugins: Vec<_> = vlugins.collect();
        let mounts = self.dispatch.registry.list();
        let is_shown = |name: &str| name.starts_with('_') && (has_plugins || name != "_plugins");
        let own = mounts.iter().filter(|it| is_shown(&it.name));
        let own: Vec<_> = own.map(|it| &*it.prefix).collect();
        let (_, status) = admin::health_of(self.readiness.get(), &self.lacking());
        let fault = locked(&self.fault).clone();
        json!({ "status": status, "fault": fault, "vlugins": vlugins, "own": own })
    }
}
