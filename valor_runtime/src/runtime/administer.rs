//! What `/_plugins` does to a runtime: registers, replaces and removes vlugins while it serves.
//!
//! `admin` calls these through [`Administer`]. Files are loaded only from inside the plugin folders. The runtime's own
//! vlugins are neither shown nor touched.

use super::{Runtime, RuntimeError};
use crate::{
    BoxFuture, Definition, Kind,
    admin::{Administer, RegistryRefusal},
    definition::{self, DefinitionFaults},
    dispatch,
    host::allow::Allow,
    registry::{Mount, RegistryError},
};
use futures_lite::FutureExt;
use serde_json::{Map, Value, json};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

impl Administer for Runtime {
    fn list(&self) -> Vec<Value> {
        let troubled = self.troubled();
        self.mounted()
            .iter()
            .filter(|m| is_registered(m))
            .map(|m| self.describe(m, &troubled))
            .collect()
    }

    fn get(&self, name: &str) -> Option<Value> {
        let mount = self.dispatch.registry.get(name)?;
        is_registered(&mount).then(|| self.describe(&mount, &self.troubled()))
    }

    fn definition(&self, name: &str) -> Option<Definition> {
        let mount = self.dispatch.registry.get(name)?;
        Some(Definition::clone(mount.origin.definition.as_deref()?))
    }

    fn read(&self, text: &str, old: Option<&Definition>) -> Result<Definition, DefinitionFaults> {
        let (definition, positions) = self.kinds.located(text)?;
        let faults: Vec<_> = over_http(&definition, old)
            .into_iter()
            .chain(self.ungranted(&definition))
            .map(|(key, line)| positions.fault(&key, line))
            .collect();
        match faults.is_empty() {
            true => Ok(definition),
            false => Err(DefinitionFaults {
                file: None,
                faults,
                further: 0,
            }),
        }
    }

    fn register(
        self: Arc<Self>,
        definition: Definition,
    ) -> BoxFuture<'static, Result<(), RegistryRefusal>> {
        async move {
            self.check_unused(&definition).map_err(RuntimeError::from)?;
            let mount = self.prepare(&definition, true).await?;
            let inserted = self.dispatch.registry.insert(vec![mount]);
            Ok(inserted.map_err(RuntimeError::from)?)
        }
        .boxed()
    }

    fn replace(
        self: Arc<Self>,
        definition: Definition,
    ) -> BoxFuture<'static, Result<(), RegistryRefusal>> {
        async move {
            let mount = self.prepare(&definition, true).await?;
            let replaced = self.dispatch.registry.replace(mount);
            dispatch::retire(replaced.map_err(RuntimeError::from)?);
            Ok(())
        }
        .boxed()
    }

    fn remove(&self, name: &str) -> Result<(), RegistryRefusal> {
        if self.get(name).is_none() {
            return Err(RegistryRefusal::NotFound(format!(
                "no vlugin is named `{name}`"
            )));
        }
        Ok(Runtime::remove(self, name)?)
    }
}

/// A key of a definition, and the fault of its value.
type KeyFault = (String, String);

/// The faults of what plugins.json may contain but HTTP requests may not. `old` is the definition that is replaced.
fn over_http(definition: &Definition, old: Option<&Definition>) -> Vec<KeyFault> {
    let mut faults = Vec::new();
    if definition.source.is_some() {
        let line = "`source` is for plugins.json: over HTTP nothing is built; give the vlugin's file in `path`";
        faults.push(("source".to_owned(), line.to_owned()));
    }
    // What plugins.json allowed may stay.
    let most = old.map_or(1, |old| old.limits.compile());
    if definition.limits.compile.is_some_and(|it| it > most) {
        let line = "`limits.compile` can only be raised in plugins.json: while a module is compiled, all others wait";
        faults.push(("limits.compile".to_owned(), line.to_owned()));
    }
    faults
}

impl Runtime {
    /// The entries of `allow` and `callees` that mean nothing to this host.
    fn ungranted(&self, definition: &Definition) -> Vec<KeyFault> {
        let each = |key: &str,
                    entries: &Option<Vec<String>>,
                    line: &dyn Fn(&[String]) -> Option<String>| {
            let entries = entries.iter().flatten().enumerate();
            let faults = entries.filter_map(|(at, entry)| {
                Some((format!("{key}[{at}]"), line(std::slice::from_ref(entry))?))
            });
            faults.collect::<Vec<_>>()
        };
        let allow = |it: &[String]| Allow::parse(it).err().map(|error| error.to_string());
        let callees = |it: &[String]| {
            let granted = self.callees.granting(Some(it));
            granted.err().map(|error| error.to_string())
        };
        let mut faults = each("allow", &definition.allow, &allow);
        faults.extend(each("callees", &definition.callees, &callees));
        faults
    }
}

impl From<RuntimeError> for RegistryRefusal {
    fn from(error: RuntimeError) -> Self {
        let line = match &error {
            RuntimeError::Load(error) => error.over_http(),
            error => error.to_string(),
        };
        match error {
            RuntimeError::Registry(RegistryError::NotFound(_)) => Self::NotFound(line),
            RuntimeError::Registry(_) => Self::Taken(line),
            _ => Self::Unfit(line),
        }
    }
}

/// Whether the registry may show and change it. The runtime's own vlugins are not its business.
fn is_registered(mount: &Mount) -> bool {
    !mount.name.starts_with('_')
}

impl Runtime {
    /// `troubled` are the scripts that have ended too often, and why.
    fn describe(&self, mount: &Mount, troubled: &[(String, String)]) -> Value {
        let origin = &mount.origin;
        let unavailable = origin.unavailable.as_ref().map(|it| &it.reason);
        let ended = troubled.iter().find(|(name, _)| **name == *mount.name);
        let reason = unavailable.or(ended.map(|(_, reason)| reason));
        let mut described = origin.definition.as_deref().map_or_else(
            // It is part of the program.
            || Map::from_iter([("limits".to_owned(), limits_of(mount))]),
            |definition| self.listed(definition),
        );
        let more = json!({
            "name": &*mount.name,
            "type": origin.kind,
            "prefix": &*mount.prefix,
            "file": origin.file.as_deref().map(Path::display).map(|d| d.to_string()),
            "sha256": origin.sha256,
            "version": origin.version,
            "generation": mount.generation,
            "state": if reason.is_some() { "unavailable" } else { "ready" },
            "reason": reason,
            "runs": origin.kind.map_or("host process", Kind::runs),
            "running": mount.running.load(Ordering::Relaxed),
        });
        if let Value::Object(more) = more {
            described.extend(more);
        }
        described.into()
    }

    /// The keys of a definition, with the limits that it is held to.
    fn listed(&self, definition: &Definition) -> Map<String, Value> {
        let (said, defaults) = (&definition.limits, &self.limits);
        let limits = match self.loaders.of(definition.kind) {
            Some(loader) => loader.limits(said, defaults),
            None => said.clone().or(defaults),
        };
        definition::listed(definition, &limits)
    }
}

fn limits_of(mount: &Mount) -> Value {
    json!({
        "timeout": mount.timeout.as_secs_f64(),
        "body": mount.body_limit,
        "concurrency": mount.concurrency,
    })
}
