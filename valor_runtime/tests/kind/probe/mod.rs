//! A kind of vlugin that is here for the tests alone: a `probe` is a text, `NAME.probe`, that is sent back, or that
//! names another vlugin in `call NAME`, which is asked then.
//!
//! It is all that a kind takes: this folder, and its row.

use futures_lite::future;
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use valor_abi_wire::Host;
use valor_runtime::{
    Body, BoxFuture, Definition, Fault, Kind, KindRow, LoadError, Loaded, Loader, Request,
    Response, Vlugin, Wanted, host::RuntimeHost,
};

static ROW: KindRow = KindRow::new("probe", "a text, for tests")
    .elsewhere(&["text"])
    .takes(&["calls"])
    .lacks(&[("source", "which is not built; give its file in `path`")])
    .runs("a test");

/// The kind.
pub const PROBE: Kind = Kind::new(&ROW);

/// Loads texts of this folder.
pub struct ProbeLoader(pub PathBuf);

struct Probe {
    text: String,
    host: Arc<RuntimeHost>,
}

impl Loader for ProbeLoader {
    fn locate(&self, definition: &Definition, _: bool) -> Result<Option<PathBuf>, LoadError> {
        let file = format!("{}.probe", definition.name);
        Ok(Some(self.0.join(file)))
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        Box::pin(async move {
            let file = self.0.join(format!("{}.probe", wanted.definition.name));
            let text =
                fs::read_to_string(&file).map_err(|_| LoadError::Missing { file: file.clone() })?;
            let probe = Probe {
                text,
                host: wanted.host,
            };
            Ok(Loaded::new(Arc::new(probe), file))
        })
    }
}

impl Vlugin for Probe {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin(async move {
            if let Some(callee) = self.text.trim().strip_prefix("call ") {
                return self.host.call(callee, request).await;
            }
            if self.text.trim() == "wait" {
                self.host.sleep(Duration::from_secs(3600)).await;
                future::pending::<()>().await;
            }
            let mut response = Response::new(200);
            response.body = Body::from(self.text.clone());
            Ok(response)
        })
    }
}
