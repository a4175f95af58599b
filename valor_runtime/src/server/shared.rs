//! What a server's connections have in common. The server makes it when it begins to serve. Each connection holds it
//! as long as it lasts, whatever protocol it speaks.

use super::{config::ServerConfig, net::Tls};
use crate::Vlugin;
use smol::channel::Receiver;
use std::{convert::Infallible, sync::Arc};

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) config: ServerConfig,
    pub(super) tls: Option<Tls>,
    pub(super) vlugin: Arc<dyn Vlugin>,
    /// Closed when the server shuts down.
    pub(super) leaving: Receiver<Infallible>,
}
