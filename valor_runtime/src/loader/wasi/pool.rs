//! [`Pool`]: a component as a vlugin. It chooses the instance that answers a request, makes another one if it has to,
//! and leaves those alone that have ended. [`WasiLoader`](super::WasiLoader) fills it.

use super::{component::Checked, inbox::Unanswered, instance::Instance, recipe::Recipe};
use crate::{BoxFuture, Fault, Request, Response, Vlugin, loader::engine::full};
use smol::lock::Semaphore;
use std::sync::{Arc, Mutex};
use valor_abi_wire::lock::locked;

/// How many instances may end before they hear of a request, until it fails. Each ends with another request, so this is
/// how many of those that wait with it may have that effect.
const TRIES: usize = 1000;

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

#[cfg(test)]
mod tests {
    use super::{
        super::{
            component, recipe,
            sample::{self, P2, P3},
        },
        *,
    };
    use crate::{
        Definition, Kind, Limits,
        account::Account,
        host::{
            RuntimeHost,
            allow::Allow,
            callees::Callees,
            fetch::{FetchConfig, Fetcher},
        },
    };
    use futures_lite::future::block_on;
    use std::time::{Duration, Instant};

    fn pool(handler: &str, is_single: bool) -> Pool {
        let bytes = wat::parse_str(sample::small(handler)).unwrap();
        let checked = component::check(&bytes, None, &Limits::default(), &|_| {}).unwrap();
        let definition = Definition::new(Kind::Wasi, "it");
        let account = Account::new(&definition.limits);
        let nobody = crate::from_fn(|_| async { Ok(Response::new(404)) });
        let host = RuntimeHost::new(
            "it",
            Allow::none(),
            Arc::new(Fetcher::new(FetchConfig::default()).unwrap()),
            Callees::new(nobody, []),
            account.clone(),
        );
        Pool::new(
            recipe(&definition, host, account, is_single, None),
            checked,
            1,
        )
    }

    /// How many instances there are once they have had time to end.
    fn instances(pool: &Pool, expected: usize) -> usize {
        let begun = Instant::now();
        // The pool has the recipe, and so has each instance, in itself and in its work.
        let there = || (Arc::strong_count(&pool.recipe) - 1) / 2;
        while there() != expected && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        there()
    }

    #[test]
    fn the_instance_that_shows_that_it_begins_is_kept_or_ends() {
        for (handler, is_single) in [(P2, true), (P3, true), (P2, false), (P3, false)] {
            let pool = pool(handler, is_single);
            block_on(pool.begin()).unwrap();
            let expected = if is_single { 0 } else { 1 };
            assert_eq!(instances(&pool, expected), expected, "{handler}");
        }
    }
}
