//! [`Loads`]: vlugins that are being loaded, each by itself, so that one that takes long delays nobody but those that
//! must become visible together with it. `reload` begins loads, and commits what is ready.
//!
//! A newer change of a vlugin takes the place of its load that is still under way. Loads run on a separate thread.

use smol::{
    Executor, Task,
    channel::{Receiver, Sender, bounded, unbounded},
    lock::Semaphore,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Instant,
};
use valor_runtime::{Definition, Prepared, Runtime};

/// Each load takes a thread and the bytes of its file.
const AT_ONCE: usize = 16;

/// What plugins.json wants of a vlugin.
pub enum Wanted {
    /// Nothing: it is to be removed.
    Gone,
    /// It could not be built, for this reason.
    NotBuilt(Definition, String),
    /// It is to be loaded, with the definition that it is served with now.
    Load(Definition, Option<Box<Definition>>),
}

/// What can be committed for a vlugin.
pub enum Ready {
    /// It is to be removed.
    Gone,
    /// It could not be built, for this reason.
    NotBuilt(Definition, String),
    /// It was loaded, or could not be.
    Loaded(Definition, Box<Prepared>),
}

enum Load {
    Running {
        number: u64,
        definition: Definition,
        /// Dropping it ends the load.
        _task: Task<()>,
    },
    Ready(Ready),
}

/// The number of a load, and what came of it.
type Said = (u64, Prepared);

/// What came of a step so far.
pub struct Tally {
    pub start: Instant,
    pub changed: usize,
    pub failed: BTreeSet<String>,
    /// A prefix was taken, which is in the log.
    pub refused: bool,
}

/// Changes that came at the same time.
struct Step {
    /// Those that are not committed yet.
    loads: BTreeMap<String, Load>,
    /// Those of them that become visible in one step.
    joint: BTreeSet<String>,
    tally: Tally,
}

/// What is committed next: everything that becomes visible in one step.
pub struct Portion {
    step: usize,
    pub is_joint: bool,
    pub ready: Vec<(String, Ready)>,
}

/// The loads that are under way.
pub struct Loads {
    executor: Arc<Executor<'static>>,
    /// The thread ends with it.
    _end: Sender<Infallible>,
    steps: Vec<Step>,
    /// How many loads have begun. Results of those that were overtaken are ignored.
    number: u64,
    said: (Sender<Said>, Receiver<Said>),
}

impl Loads {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system cannot start one.
    pub fn start() -> std::io::Result<Self> {
        let executor = Arc::new(Executor::new());
        let (_end, ended) = bounded(1);
        let runs = executor.clone();
        std::thread::Builder::new()
            .name("valor-load".into())
            .spawn(move || smol::block_on(runs.run(ended.recv())))?;
        Ok(Self {
            executor,
            _end,
            steps: Vec::new(),
            number: 0,
            said: unbounded(),
        })
    }

    /// Begins with these. Those that are joint become visible in one step, and so do those that an earlier step has
    /// joined with one of them. All others become visible as soon as they are loaded.
    pub fn begin(
        &mut self,
        wanted: BTreeMap<String, Wanted>,
        joint: BTreeSet<String>,
        runtime: &Arc<Runtime>,
    ) {
        let mut new = Step {
            loads: BTreeMap::new(),
            joint,
            tally: Tally {
                start: Instant::now(),
                changed: 0,
                failed: BTreeSet::new(),
                refused: false,
            },
        };
        self.steps.retain_mut(|step| {
            let is_again = |name: &String| wanted.contains_key(name);
            step.loads.retain(|name, _| !is_again(name));
            if step.joint.iter().any(is_again) {
                for name in std::mem::take(&mut step.joint) {
                    if let Some(load) = step.loads.remove(&name) {
                        new.loads.insert(name.clone(), load);
                    }
                    new.joint.insert(name);
                }
            }
            if step.loads.is_empty() {
                new.tally.changed += step.tally.changed;
                new.tally.failed.append(&mut step.tally.failed);
                new.tally.failed.retain(|name| !is_again(name));
                new.tally.refused |= step.tally.refused;
            }
            !step.loads.is_empty()
        });
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        for (name, wanted) in wanted {
            let load = match wanted {
                Wanted::Gone => Load::Ready(Ready::Gone),
                Wanted::NotBuilt(definition, reason) => {
                    Load::Ready(Ready::NotBuilt(definition, reason))
                }
                Wanted::Load(definition, before) => {
                    self.number += 1;
                    let number = self.number;
                    let (said, runtime) = (self.said.0.clone(), runtime.clone());
                    let (at_once, new) = (at_once.clone(), definition.clone());
                    let task = self.executor.spawn(async move {
                        let _permit = at_once.acquire().await;
                        let prepared = runtime.prepare_change(before.as_deref(), &new).await;
                        let _ = said.try_send((number, prepared));
                    });
                    Load::Running {
                        number,
                        definition,
                        _task: task,
                    }
                }
            };
            new.loads.insert(name, load);
        }
        self.steps.push(new);
    }

    /// Waits until one more is loaded, or could not be.
    pub async fn next(&mut self) {
        loop {
            let Ok((said, prepared)) = self.said.1.recv().await else {
                return std::future::pending().await;
            };
            let mut steps = self.steps.iter_mut();
            let load = steps.find_map(|step| step.loads.get_mut(prepared.name()));
            if let Some(load) = load
                && let Load::Running {
                    number, definition, ..
                } = load
                && *number == said
            {
                *load = Load::Ready(Ready::Loaded(definition.clone(), Box::new(prepared)));
                return;
            }
        }
    }

    /// Whether this one is not committed yet.
    pub fn is_loading(&self, name: &str) -> bool {
        self.steps.iter().any(|step| step.loads.contains_key(name))
    }

    /// Takes what can be committed next.
    pub fn ready(&mut self) -> Option<Portion> {
        let mut steps = self.steps.iter_mut().enumerate();
        steps.find_map(|(at, step)| {
            let is_ready = |name: &String| matches!(step.loads.get(name), Some(Load::Ready(_)));
            let is_joint = !step.joint.is_empty() && step.joint.iter().all(is_ready);
            let names: Vec<_> = match is_joint {
                true => std::mem::take(&mut step.joint).into_iter().collect(),
                false => {
                    let alone = step.loads.keys().filter(|it| !step.joint.contains(*it));
                    alone.filter(|it| is_ready(it)).take(1).cloned().collect()
                }
            };
            let ready = names
                .into_iter()
                .filter_map(|name| match step.loads.remove(&name)? {
                    Load::Ready(ready) => Some((name, ready)),
                    Load::Running { .. } => None,
                });
            let ready: Vec<_> = ready.collect();
            (!ready.is_empty()).then_some(Portion {
                step: at,
                is_joint,
                ready,
            })
        })
    }

    /// What came so far of the step that a portion was taken from, until [`Loads::finished`] is called.
    pub fn tally(&mut self, portion: &Portion) -> &mut Tally {
        &mut self.steps[portion.step].tally
    }

    /// Takes the steps of which everything is committed.
    pub fn finished(&mut self) -> Vec<Tally> {
        let steps = self.steps.extract_if(.., |step| step.loads.is_empty());
        steps.map(|step| step.tally).collect()
    }
}
