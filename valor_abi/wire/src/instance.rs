//! What a host may ask of a created vlugin, of any kind.

use crate::{
    body::BoxFuture,
    fault::Fault,
    request::{Request, Response},
};
use std::sync::Arc;

/// A created vlugin, or why there is none.
pub type Created = BoxFuture<'static, Result<Arc<dyn Instance>, Fault>>;

/// A created vlugin.
pub trait Instance: Send + Sync + 'static {
    /// Answers a request. Dropping the future cancels it.
    fn on_request(self: Arc<Self>, request: Request)
    -> BoxFuture<'static, Result<Response, Fault>>;
}
