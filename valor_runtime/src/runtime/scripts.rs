//! JavaScript vlugins in a runtime: loaded with what its defaults leave them.

use super::{Runtime, RuntimeError};
use crate::{Definition, Vlugin, account::Account, registry::Origin};
use std::sync::Arc;

impl Runtime {
    pub(super) async fn load_script(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<(Arc<dyn Vlugin>, Origin), RuntimeError> {
        let mut definition = definition.clone();
        // A default is for instances of guests, which need less than a script.
        let memory = definition.limits.memory;
        definition.limits = definition.limits.or(&self.limits);
        definition.limits.memory = memory;
        let account = Account::new(&definition.limits);
        let host = self.host(
            definition.kind,
            &definition.name,
            definition.allow.as_deref(),
            &account,
        )?;
        let loaded = self.js.load(&definition, restricted, host, account).await?;
        let origin = Origin {
            file: Some(loaded.file),
            sha256: Some(loaded.sha256),
            ..Origin::default()
        };
        Ok((loaded.vlugin, origin))
    }

    /// The scripts that have ended too often to be started again at once, and why.
    pub(super) fn troubled(&self) -> Vec<(String, String)> {
        self.js.troubled()
    }
}
