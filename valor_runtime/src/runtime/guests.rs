//! WebAssembly vlugins in a runtime: loaded where this build can run them, and otherwise refused
//! with the reason.

use super::{Runtime, RuntimeError};
#[cfg(feature = "wasm")]
use crate::account::Account;
use crate::{Definition, Vlugin, registry::Origin};
use std::sync::Arc;

impl Runtime {
    #[cfg(feature = "wasm")]
    pub(super) async fn load_guest(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<(Arc<dyn Vlugin>, Origin), RuntimeError> {
        let mut definition = definition.clone();
        definition.limits = definition.limits.or(&self.limits);
        let account = Account::new(&definition.limits);
        let host = self.host(
            definition.kind,
            &definition.name,
            definition.allow.as_deref(),
            &account,
        )?;
        let loading = self.wasm.load(&definition, restricted, host, &account);
        let loaded = loading.await?;
        let origin = Origin {
            file: Some(loaded.file),
            sha256: Some(loaded.sha256),
            version: loaded.metadata.map(|metadata| metadata.version),
            ..Origin::default()
        };
        Ok((loaded.vlugin, origin))
    }

    #[cfg(not(feature = "wasm"))]
    pub(super) async fn load_guest(
        &self,
        definition: &Definition,
        _restricted: bool,
    ) -> Result<(Arc<dyn Vlugin>, Origin), RuntimeError> {
        Err(crate::LoadError::NoWasm {
            name: definition.name.clone(),
        }
        .into())
    }
}
