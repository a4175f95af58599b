//! The runtime's own vlugins, `/_health`, `/_metrics` and `/_plugins`. They get what they need from it, and are
//! mounted like any other.

use super::{Runtime, RuntimeError};
use crate::{
    Limits,
    admin::{self, RegistryAccess},
    dispatch::Dispatch,
    loader::native::images_mapped,
    place::Place,
    registry::Lack,
};
use std::sync::{Arc, Weak};

/// How many seconds `/_plugins` has to answer. This is longer than the limits of loading, which name the vlugin.
const LOADING: f64 = 600.0;

impl Runtime {
    pub(super) fn mount_own(self: &Arc<Self>, access: RegistryAccess) -> Result<(), RuntimeError> {
        let dispatch = Arc::downgrade(&self.dispatch);
        let unavailable = {
            let dispatch = dispatch.clone();
            let runtime: Weak<Self> = Arc::downgrade(self);
            move || {
                let troubled = runtime.upgrade().map(|runtime| runtime.troubled());
                let troubled = troubled.unwrap_or_default().into_iter();
                let mut lacking = unavailable(&dispatch);
                lacking.extend(troubled.map(|(name, _)| (name, Lack::EndedTooOften)));
                lacking
            }
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
                admin::plugins(access, move || runtime.upgrade()),
            )?;
        }
        Ok(())
    }
}

fn unavailable(dispatch: &Weak<Dispatch>) -> Vec<(String, Lack)> {
    let mounts = dispatch.upgrade().map(|d| d.registry.list());
    let lacking = mounts.into_iter().flatten().filter_map(|mount| {
        let lack = mount.origin.unavailable.as_ref()?.lack;
        Some((mount.name.to_string(), lack))
    });
    lacking.collect()
}
