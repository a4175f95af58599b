//! [`Pool`]: a module as a vlugin. It chooses the instance that answers a request, makes another one if all are busy,
//! and replaces those that have ended; or it makes one for each request. [`WasmLoader`](super::WasmLoader) fills it.

use super::{
    driver::Recipe,
    instance::{Instance, Unanswered},
};
use crate::{BoxFuture, Fault, Request, Response, Vlugin, loader::engine::full};
use std::sync::{Arc, Mutex};
use valor_abi_wire::lock::locked;

/// The instances of one vlugin: one, and more if all are busy and more are allowed.
pub(super) struct Pool {
    pub(super) recipe: Arc<Recipe>,
    /// How many there may be.
    pub(super) most: usize,
    /// Those that there are; `None` if each request gets one, which ends with it.
    pub(super) instances: Option<Mutex<Vec<Arc<Instance>>>>,
}

impl Pool {
    /// The instance for the next request.
    fn pick(&self) -> Arc<Instance> {
        let Some(instances) = &self.instances else {
            return Instance::new(&self.recipe);
        };
        let mut instances = locked(instances);
        instances.retain(|instance| !instance.shared.has_ended());
        let busy = |instance: &Arc<Instance>| instance.is_running() || instance.is_full();
        if instances.len() < self.most && instances.iter().all(busy) {
            instances.push(Instance::new(&self.recipe));
        }
        if let [only] = &instances[..] {
            return only.clone();
        }
        let idle = instances
            .iter()
            .min_by_key(|it| (it.is_full(), it.is_running(), it.shared.load()));
        idle.expect("there is one, as none is running otherwise")
            .clone()
    }
}

impl Vlugin for Pool {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin(async move {
            let mut request = request;
            loop {
                request = match self.pick().answer(request).await {
                    Ok(response) => return Ok(response),
                    Err(Unanswered::Failed(fault)) => return Err(fault),
                    Err(Unanswered::Full) => return Ok(full("valor::wasm", &self.recipe.name)),
                    Err(Unanswered::Unheard(request)) => request,
                }
            }
        })
    }
}
