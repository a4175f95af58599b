//! What both programs serve: a runtime with two vlugins that are linked into them.

use std::sync::Arc;
use valor_runtime::{Runtime, RuntimeError};

/// A runtime with `hello_plugin` and `echo`.
pub async fn runtime() -> Result<Arc<Runtime>, RuntimeError> {
    let runtime = Runtime::builder().build()?;
    runtime
        .add_entry("hello_plugin", hello_plugin::VLUGIN, ())
        .await?;
    runtime.add_entry("echo", echo::VLUGIN, ()).await?;
    runtime.set_ready(true);
    Ok(runtime)
}
