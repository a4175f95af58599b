//! `web --serve`: serves the folder as a static server would, with Valor's own `files` vlugin and server, until a
//! signal comes.

use crate::{
    args::{LogArgs, LogFormat},
    exit::{CANNOT_BIND, Failure},
    log_writer::LogWriter,
    output::print_line,
    programs::Stop,
    run::warn_unwritten,
    signals,
};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use valor_runtime::{
    Definition, Kind, Runtime, Vlugin, from_fn,
    lock::locked,
    server::{Listen, Server, ServerConfig, ServerError},
};

/// The current Content-Security-Policy of the folder.
#[derive(Clone)]
pub struct Policy(Arc<Mutex<Arc<str>>>);

impl Policy {
    pub fn new(policy: String) -> Self {
        Self(Arc::new(Mutex::new(policy.into())))
    }

    /// Serves it under another policy from now on.
    pub fn set(&self, policy: String) {
        *locked(&self.0) = policy.into();
    }

    fn get(&self) -> Arc<str> {
        locked(&self.0).clone()
    }
}

/// Serves the folder under a Content-Security-Policy.
///
/// # Errors
/// If the address cannot be bound, or the folder cannot be served.
pub fn serve(
    folder: &Path,
    listen: &Listen,
    policy: Policy,
    args: &LogArgs,
    log: &LogWriter,
) -> Result<(), Failure> {
    let runtime = Runtime::builder().build().map_err(Failure::fault)?;
    let mut definition = Definition::new(Kind::Files, "web");
    definition.prefix = Some("/".into());
    definition.path = Some(std::path::absolute(folder).map_err(Failure::fault)?);
    // A folder that was written again must be seen at once; an unchanged file costs a 304.
    definition.config = serde_json::json!({ "cache_control": "no-cache" });
    smol::block_on(async {
        let listening = Server::bind(std::slice::from_ref(listen), ServerConfig::default());
        let server = listening.await.map_err(|error| match error {
            ServerError::Bind { .. } => Failure::new(CANNOT_BIND, [error.to_string()]),
            error => Failure::fault(error),
        })?;
        runtime.load(&definition).await.map_err(Failure::fault)?;
        let stop = signals::listen(log.clone(), None, None, Stop::default());
        let stop = stop.map_err(Failure::fault)?;
        runtime.set_ready(true);
        announce(args, &server.local_addrs());
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let vlugin = under(policy, runtime);
        server
            .run(vlugin, workers, stop)
            .await
            .map_err(Failure::fault)?;
        Ok(())
    })
}

/// The same answers, with the policy.
fn under(policy: Policy, inner: Arc<Runtime>) -> Arc<dyn Vlugin> {
    from_fn(move |request| {
        let (policy, inner) = (policy.get(), inner.clone());
        async move {
            let mut response = inner.on_request(request).await?;
            // If the head has no room for it, it is left out.
            let _ = response
                .head
                .push("content-security-policy", policy.as_bytes());
            Ok(response)
        }
    })
}

fn announce(args: &LogArgs, addrs: &[Listen]) {
    for addr in addrs {
        match (args.log_format, addr) {
            (LogFormat::Json, _) => {
                log::info!(target: "valor", addr = addr.to_string().as_str(); "listening");
            }
            (LogFormat::Text, _) if args.quiet => {}
            (LogFormat::Text, Listen::Tcp(addr)) => {
                print_line(format_args!("listening on http://{addr}"))
            }
            (LogFormat::Text, _) => print_line(format_args!("listening on {addr}")),
        }
    }
    warn_unwritten();
}
