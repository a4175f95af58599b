//! [`Place`]: where a vlugin that this program made is mounted, and what it may do.

use crate::{
    Definition, Limits, Vlugin,
    registry::{Mount, Origin},
};
use std::sync::Arc;

/// A name, and the other settings of a definition in plugins.json. A `&str` is a place with that name and the defaults
/// for everything else.
#[derive(Debug, Clone)]
pub struct Place {
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) strip: bool,
    pub(crate) rewrite: bool,
    pub(crate) limits: Limits,
    pub(crate) allow: Option<Vec<String>>,
    pub(crate) callees: Option<Vec<String>>,
}

impl Place {
    /// A place of this name, mounted at `/` and the name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            prefix: format!("/{name}"),
            name,
            strip: true,
            rewrite: false,
            limits: Limits::default(),
            allow: None,
            callees: None,
        }
    }

    /// Mounted at this prefix: `/`, or a path that does not end with a slash.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Leaves the prefix in the path that the vlugin sees.
    pub fn whole_path(mut self) -> Self {
        self.strip = false;
        self
    }

    /// Puts the prefix in front of the vlugin's own paths in `location`, `content-location` and cookies.
    pub fn rewrite(mut self) -> Self {
        self.rewrite = true;
        self
    }

    /// Its limits. The runtime's defaults apply to limits that are not set.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The hosts that it may reach; all, unless this is called.
    pub fn allow(mut self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allow = Some(hosts.into_iter().map(Into::into).collect());
        self
    }

    /// The vlugins that it may call, `*` for every one, and what the host offers; every vlugin and nothing of the
    /// host's, unless this is called.
    pub fn callees(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.callees = Some(names.into_iter().map(Into::into).collect());
        self
    }

    pub(crate) fn mount(self, vlugin: Arc<dyn Vlugin>, origin: Origin, defaults: &Limits) -> Mount {
        let limits = self.limits.or(defaults);
        Mount {
            strip: self.strip,
            rewrite: self.rewrite,
            ..Mount::new(&self.name, &self.prefix, vlugin, origin, &limits)
        }
    }
}

impl From<&str> for Place {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<&Definition> for Place {
    fn from(definition: &Definition) -> Self {
        Self {
            name: definition.name.clone(),
            prefix: definition.prefix(),
            strip: definition.strip,
            rewrite: definition.rewrite,
            limits: definition.limits.clone(),
            allow: definition.allow.clone(),
            callees: definition.callees.clone(),
        }
    }
}
