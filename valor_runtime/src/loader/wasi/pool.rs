//! [`Pool`]: a component as a vlugin. It chooses the instance that answers a request, makes another one if it has to,
//! and leaves those alone that have ended. [`WasiLoader`](super::WasiLoader) fills it.

use super::{component::Checked, inbox::Unanswered, instance::Instance, recipe::Recipe};
use crate::{BoxFuture, Fault, Request, Response, Vlugin, loader::engine::full};
use smol::lock::Semaphore;
use std::sync::{Arc, Mutex};
use valor_abi_wire::lock::locked;

/// How many instances may end before they hear of a request, until it fails.
const TRIES: usize = 3;

/// The instances of one vlugin.
pub(super) struct Pool {
    recipe: Arc<Recipe>,
    component: Checked,
    /// How many instances there may be.
    most: usize,
    /// What an instance that answers one request only takes until it ends.
    slots: Arc<Semaphore>,
    /// Those that answer several.
    instances: Mutex<Vec<Arc<Instance>>>,
}

impl Pool {
    pub(super) fn new(recipe: Recipe, component: Checked, most: usize) -> Self {
        Self {
            recipe: Arc::new(recipe),
            component,
            most,
            slots: Arc::new(Semaphore::new(most)),
            instances: Mutex::default(),
        }
    }

    /// Begins an instance, to see that it does. If it can answer several requests, it gets the first ones.
    pub(super) async fn begin(&self) -> Result<(), Fault> {
        let instance = Instance::new(&self.recipe, &self.component.pre, None);
        instance.created().await?;
        if !self.recipe.is_single {
            locked(&self.instances).push(instance);
        }
        Ok(())
    }

    /// The instance for the next request.
    async fn pick(&self) -> Arc<Instance> {
        if self.recipe.is_single {
            let slot = self.slots.acquire_arc().await;
            return Instance::new(&self.recipe, &self.component.pre, Some(slot));
        }
        let is_concurrent = self.component.pre.is_concurrent();
        let is_busy = |it: &Arc<Instance>| it.is_running() || !is_concurrent && it.load() > 0;
        let mut instances = locked(&self.instances);
        instances.retain(|instance| !instance.is_over());
        if instances.len() < self.most && instances.iter().all(is_busy) {
            instances.push(Instance::new(&self.recipe, &self.component.pre, None));
        }
        let idle = instances.iter().min_by_key(|it| (is_busy(it), it.load()));
        idle.expect("there is one, as none is busy otherwise")
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
            for _ in 0..TRIES {
                request = match self.pick().await.answer(request).await {
                    Ok(response) => return Ok(response),
                    Err(Unanswered::Failed(fault)) => return Err(fault),
                    Err(Unanswered::Full) => return Ok(full("valor::wasi", &self.recipe.name)),
                    Err(Unanswered::Unheard(request)) => request,
                }
            }
            Err(Fault::error(
                502,
                "its instances end before they hear of the request",
            ))
        })
    }
}
