//! [`Process`]: a Deno that Valor has started, and the workers in it, each of which runs one script.
//!
//! `script` starts them and sends requests to a [`Worker`]'s socket. What ends a worker is told to all who wait
//! for it, once, as an [`End`]. A process lives as long as its [`Process`] is held: then its control socket is
//! closed, which its supervisor takes as the end, as it does when Valor itself is gone.

use super::{
    command::{Launch, command},
    gate::Gates,
    hints::plain,
    link::{Control, Link, Transport, random},
    output,
    outward::cut,
    sealed::{Key, Opener, Sealer},
    worker::{End, Stage, Worker},
};
use crate::{
    host::fetch::local::{Address, Local},
    loader::one_line,
    private_dir::{self, PrivateDir},
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use serde::Deserialize;
use serde_json::{Value, json};
use smol::{
    Timer,
    channel::{Receiver, Sender, bounded, unbounded},
    process::Child,
};
#[cfg(unix)]
use std::path::PathBuf;
use std::{
    collections::HashMap,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

const SUPERVISOR: &str = include_str!("supervisor.js");
const WORKER: &str = concat!(
    include_str!("worker.js"),
    "\n",
    include_str!("heads.js"),
    "\n",
    include_str!("asks.js"),
    "\n",
    include_str!("pinned.js"),
    "\n",
    include_str!("urls.js")
);

/// A process that was not heard of by then does not come.
const UNTIL_UP: Duration = Duration::from_secs(20);
/// For a process that was told to end.
const UNTIL_DOWN: Duration = Duration::from_secs(5);
/// Bytes of a record of the supervisor's, which bounds what it says (`supervisor.js`).
const SAID: usize = 64 << 10;
/// Bytes of what a script is said to have ended with.
const WORDS: usize = 2000;
/// Between two looks at the threads of a process.
#[cfg(target_os = "linux")]
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
#[cfg(target_os = "linux")]
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// What Deno does for scripts on threads of its own, such as deriving keys, may take so many times their `limits.cpu`:
/// such a thread takes one thing after the other, and under load it has no pause.
#[cfg(target_os = "linux")]
const HELPERS: u32 = 10;
/// How many scripts may be of one group.
pub(super) const GROUP: usize = 64;

/// What the supervisor says.
#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    slot: usize,
    #[serde(default)]
    message: String,
    #[serde(default)]
    port: Option<u16>,
}

#[derive(Default)]
struct Shared {
    workers: Mutex<HashMap<usize, Arc<Worker>>>,
    /// Why the process is about to end, where it has said so.
    last_words: OnceLock<End>,
    gone: OnceLock<()>,
    /// Closed for the process to be killed.
    killing: Closing,
}

/// A channel for nothing but its end.
struct Closing(Sender<()>, Receiver<()>);

impl Default for Closing {
    fn default() -> Self {
        let (close, closed) = bounded(1);
        Self(close, closed)
    }
}

impl Shared {
    fn workers(&self) -> MutexGuard<'_, HashMap<usize, Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, mut event: Event) {
        event.message = one_line(&plain(&event.message));
        cut(&mut event.message, WORDS);
        let stage = match &*event.event {
            "listening" => Stage::Listening,
            "ready" => Stage::Ready,
            "failed" => Stage::Failed(event.message),
            "stopped" => return self.one_ends(event.slot, End::Stopped),
            "memory" => return self.last(End::Memory),
            "blocked" => {
                let name = self.workers().get(&event.slot).map(|it| it.name.clone());
                let name = name.unwrap_or_default();
                self.last(End::Died(format!("`{name}`, of its group, was in a loop")));
                return self.one_ends(event.slot, End::Blocked);
            }
            _ => {
                let end = End::Died(event.message);
                self.last(end.clone());
                return self.one_ends(event.slot, end);
            }
        };
        if let Some(worker) = self.workers().get(&event.slot) {
            if let Some(port) = event.port {
                let address = (Ipv4Addr::LOCALHOST, port).into();
                worker.local.is_at(Address::Tcp(address));
            }
            let _ = worker.stages.try_send(stage);
        }
    }

    fn one_ends(&self, slot: usize, end: End) {
        let worker = self.workers().remove(&slot);
        if let Some(worker) = worker {
            worker.end(end);
        }
    }

    /// The process is about to end: nobody is to be started in it.
    fn last(&self, end: End) {
        let _ = self.last_words.set(end);
        let _ = self.gone.set(());
    }

    fn all_end(&self, end: &End) {
        let _ = self.gone.set(());
        let workers: Vec<_> = self.workers().drain().collect();
        for (_, worker) in workers {
            worker.end(end.clone());
        }
    }
}

/// Why a script does not run.
pub(super) enum Unstarted {
    /// It is no script that can be run, or it threw.
    Failed(String),
    /// It was not ready in time.
    TimedOut,
    /// It, or its process, ended on the way.
    Ended(End),
    /// The system gives no process.
    System(String),
}

impl From<io::Error> for Unstarted {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// A Deno that runs.
pub(super) struct Process {
    commands: Sender<Value>,
    shared: Arc<Shared>,
    transport: Transport,
    /// The sockets of the slots, where they have names.
    #[cfg(unix)]
    sockets: Vec<PathBuf>,
    slots: usize,
}

impl Process {
    /// Starts a process, with no script in it yet.
    pub(super) async fn spawn(launch: &Launch) -> Result<Arc<Self>, Unstarted> {
        let folder = PrivateDir::create("valor-js-")?;
        // Links in it would not be what permissions are about.
        let dir = dunce::canonicalize(folder.path())?;
        folder.write("supervisor.js", SUPERVISOR.as_bytes())?;
        folder.write("worker.js", WORKER.as_bytes())?;
        let denos = folder.folder("deno")?;
        // Deno would have the caches of scripts in a folder of this name, without a limit.
        private_dir::write_new(&denos.join("location_data"), b"")?;
        let slots = if launch.read.is_some() { 1 } else { GROUP };
        let control = Control::bind(launch.transport, &dir).await?;
        let sockets: Vec<_> = (0..slots)
            .filter_map(|slot| control.socket(&dir, slot))
            .collect();
        let key = Key::random()?;
        let mut child = command(launch, &dir, &control, &sockets).spawn()?;
        let stdin = child.stdin.take();
        let shared = Arc::new(Shared::default());
        let outputs = output::log(&launch.name, child.stdout.take(), child.stderr.take());
        let up = async {
            let linked = async {
                // One that has ended before it read this is told of by its status.
                let _ = control.tell(&key, stdin).await;
                control.accept().await.map(Some)
            };
            let heard = future::or(linked, async {
                child.status().await?;
                Ok(None)
            });
            let late = async {
                Timer::after(UNTIL_UP).await;
                Err(io::ErrorKind::TimedOut.into())
            };
            future::or(heard, late).await
        };
        let link = match up.await {
            Ok(Some(link)) => link,
            Ok(None) => {
                let said = outputs.await;
                return Err(Unstarted::System(format!(
                    "Deno did not start: {}",
                    said.last
                )));
            }
            Err(error) => return Err(Unstarted::System(format!("Deno did not start: {error}"))),
        };
        let (commands, orders) = unbounded();
        let (closing, closed) = bounded::<()>(1);
        let Link { said, told } = link;
        let (sealer, opener) = key.directions();
        #[cfg(target_os = "linux")]
        smol::spawn(watch(child.id(), Arc::downgrade(&shared), slots == 1)).detach();
        smol::spawn(hear(said, opener, shared.clone())).detach();
        smol::spawn(tell(told, sealer, orders, closing)).detach();
        smol::spawn(attend(child, closed, outputs, shared.clone(), folder)).detach();
        Ok(Arc::new(Self {
            commands,
            shared,
            transport: launch.transport,
            #[cfg(unix)]
            sockets,
            slots,
        }))
    }

    pub(super) fn is_gone(&self) -> bool {
        self.shared.gone.get().is_some()
    }

    /// Starts a script in a worker, and gives it when it listens; `settled` says whether it runs.
    pub(super) async fn start(
        &self,
        name: &str,
        mut start: Value,
    ) -> Result<(Arc<Worker>, Starting), Unstarted> {
        let token = random()?;
        let (stages, said) = unbounded();
        let worker = {
            let mut workers = self.shared.workers();
            let free = (0..self.slots).find(|slot| !workers.contains_key(slot));
            let slot = free
                .ok_or_else(|| Unstarted::System(format!("a group has at most {GROUP} vlugins")))?;
            let worker = Arc::new(Worker {
                name: name.to_owned(),
                local: Local::new(),
                token,
                transport: self.transport,
                gates: Gates::default(),
                slot,
                cpu: Duration::from_millis(start["cpu"].as_u64().unwrap_or_default()),
                stages,
                end: OnceLock::new(),
                over: bounded(1),
            });
            workers.insert(slot, worker.clone());
            worker
        };
        if self.is_gone() {
            worker.end(End::Stopped);
        }
        start["command"] = "start".into();
        start["name"] = name.into();
        start["slot"] = worker.slot.into();
        #[cfg(unix)]
        if let Some(socket) = self.sockets.get(worker.slot) {
            start["socket"] = socket.to_string_lossy().into();
            worker.local.is_at(Address::Unix(socket.clone()));
        }
        start["token"] = worker.token.as_str().into();
        let _ = self.commands.try_send(start);
        let mut starting = Starting {
            worker: worker.clone(),
            commands: self.commands.clone(),
            said,
            is_settled: false,
        };
        match starting.next().await? {
            Stage::Failed(message) => Err(Unstarted::Failed(message)),
            Stage::Listening | Stage::Ready => Ok((worker, starting)),
        }
    }

    /// Ends a worker that does not do what it should, and its process with it.
    pub(super) fn end(&self, worker: &Worker, why: End) {
        let others = format!("`{}`, of its group, {why}", worker.name);
        self.shared.last(End::Died(others));
        worker.end(why);
        self.shared.killing.0.close();
    }

    /// Has a worker end when what it promised to do is done, at the latest after this time.
    pub(super) fn stop(&self, worker: &Worker, wait: Duration) {
        let _ = self.commands.try_send(stop(worker.slot, wait));
    }
}

fn stop(slot: usize, wait: Duration) -> Value {
    json!({ "command": "stop", "slot": slot, "wait": u64::try_from(wait.as_millis()).unwrap_or(0) })
}

/// A worker whose script is being loaded; dropped before it is, it is stopped.
pub(super) struct Starting {
    worker: Arc<Worker>,
    commands: Sender<Value>,
    said: Receiver<Stage>,
    is_settled: bool,
}

impl Starting {
    async fn next(&mut self) -> Result<Stage, Unstarted> {
        match self.said.recv().await {
            Ok(stage) => Ok(stage),
            Err(_) => Err(Unstarted::Ended(self.worker.ended().await)),
        }
    }

    /// Waits for the script to be loaded.
    pub(super) async fn settled(mut self, limit: Duration) -> Result<(), Unstarted> {
        let late = async {
            Timer::after(limit).await;
            Err(Unstarted::TimedOut)
        };
        match future::or(self.next(), late).await? {
            Stage::Failed(message) => Err(Unstarted::Failed(message)),
            Stage::Listening | Stage::Ready => {
                self.is_settled = true;
                Ok(())
            }
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !self.is_settled {
            let _ = self
                .commands
                .try_send(stop(self.worker.slot, Duration::ZERO));
        }
    }
}

/// Takes what the supervisor says, until it says no more: then its process has ended, or is killed.
async fn hear(mut said: impl AsyncRead + Unpin, mut opener: Opener, shared: Arc<Shared>) {
    let why = loop {
        let mut length = [0; 4];
        match said.read_exact(&mut length).await {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                // What came before it is the reason then.
                Timer::after(UNTIL_DOWN).await;
                break "it has ended".into();
            }
            Err(error) => break error.to_string(),
            Ok(()) => {}
        }
        let strange = || "something on it is not of the supervisor's".to_owned();
        let length = u32::from_le_bytes(length) as usize;
        if length > SAID {
            break strange();
        }
        let mut record = vec![0; length];
        if let Err(error) = said.read_exact(&mut record).await {
            break error.to_string();
        }
        let Some(line) = opener.open(&mut record) else {
            break strange();
        };
        match serde_json::from_slice(line) {
            Ok(event) => shared.take(event),
            Err(error) => break format!("it said what is not known: {error}"),
        }
    };
    shared.last(End::Died(format!("its control link broke off: {why}")));
    shared.killing.0.close();
}

/// Tells the supervisor what to do, until there is nobody who could ask for anything.
async fn tell(
    mut link: impl AsyncWrite + Unpin,
    mut sealer: Sealer,
    orders: Receiver<Value>,
    closing: Sender<()>,
) {
    while let Ok(order) = orders.recv().await {
        let Some(record) = sealer.seal(&order.to_string()) else {
            break;
        };
        if link.write_all(&record).await.is_err() {
            break;
        }
    }
    let _ = link.close().await;
    closing.close();
}

/// Ends a process in which a Worker that a script has made for itself is in a loop.
#[cfg(target_os = "linux")]
async fn watch(process: u32, shared: std::sync::Weak<Shared>, is_alone: bool) {
    let mut threads = super::nested::Threads::of(process);
    loop {
        let Some(shared) = shared.upgrade().filter(|it| it.gone.get().is_none()) else {
            return;
        };
        let workers: Vec<_> = shared.workers().values().cloned().collect();
        let limit = workers
            .iter()
            .map(|it| it.cpu)
            .max()
            .unwrap_or(LONGEST_LOOK);
        let busy = threads.busy();
        let takes_long = busy.helper > limit.saturating_mul(HELPERS);
        let busy = busy.workers;
        let looping = |busy: &&Duration| **busy > limit;
        // The first is the script's own, which the supervisor asks. Of a group it is not known which those are.
        let is_in_loop = match is_alone {
            true => busy.iter().skip(1).any(|it| looping(&it)),
            false => busy.iter().filter(looping).count() > workers.len(),
        };
        if is_in_loop || takes_long {
            let others =
                "a Worker of a script of its group, or what Deno did for one, was in a loop";
            shared.last(End::Died(others.into()));
            if is_alone {
                workers.iter().for_each(|worker| worker.end(End::Blocked));
            }
            shared.killing.0.close();
            return;
        }
        drop((workers, shared));
        Timer::after((limit / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)).await;
    }
}

/// Waits for the end of a process, and sees to it where it was told to end and does not.
async fn attend(
    mut child: Child,
    closed: Receiver<()>,
    outputs: smol::Task<output::Said>,
    shared: Arc<Shared>,
    folder: PrivateDir,
) {
    let late = async {
        let _ = closed.recv().await;
        Timer::after(UNTIL_DOWN).await;
        None
    };
    let killing = shared.killing.1.clone();
    let killed = async {
        let _ = killing.recv().await;
        None
    };
    let ended = async { Some(child.status().await) };
    let ended = future::or(ended, future::or(late, killed)).await;
    let ended = match ended {
        Some(ended) => ended,
        None => {
            let _ = child.kill();
            child.status().await
        }
    };
    let said = outputs.await;
    let end = match (shared.last_words.get(), ended) {
        (Some(end), _) => end.clone(),
        _ if said.out_of_memory => End::Memory,
        _ if closed.is_closed() => End::Stopped,
        (None, Ok(status)) => End::Died(status.to_string()),
        (None, Err(error)) => End::Died(error.to_string()),
    };
    shared.all_end(&end);
    // The supervisor may have removed it.
    let _ = folder.close();
}
