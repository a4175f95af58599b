//! [`Process`]: a Deno that Valor has started, and its workers, each of which runs one script.
//!
//! `script` starts them and sends requests to a [`Worker`]'s socket. The process's `roster` has the workers and how
//! they ended. A process lives as long as its [`Process`] is held. Then its control link closes, and its `supervisor`
//! ends it, as it does when Valor itself is gone.

#[cfg(target_os = "linux")]
use super::loops;
use super::{
    command::{Launch, command, spawn},
    gate::Gates,
    link::{Control, Link, Transport, random},
    output,
    roster::{Roster, UNTIL_DOWN},
    sealed::Key,
    supervisor::{hear, stop, tell},
    worker::{End, Stage, Worker},
};
#[cfg(unix)]
use crate::host::fetch::local::Address;
use crate::{
    host::fetch::local::Local,
    loader::Lack,
    private_dir::{self, PrivateDir},
    timer::Timer,
};
use futures_lite::future;
use serde_json::Value;
use smol::{
    channel::{Receiver, Sender, bounded, unbounded},
    process::Child,
};
#[cfg(unix)]
use std::path::PathBuf;
use std::{
    io,
    sync::{Arc, OnceLock},
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
    include_str!("bodies.js"),
    "\n",
    include_str!("workers.js"),
    "\n",
    include_str!("pinned.js"),
    "\n",
    include_str!("urls.js")
);

/// A process that has not connected by then will not.
const UNTIL_UP: Duration = Duration::from_secs(20);
/// How many scripts a group may have.
pub(super) const GROUP: usize = 64;

/// Why a script does not run.
pub(super) enum Unstarted {
    /// It is not a script that can be run, or it threw.
    Failed(String),
    /// It was not ready in time.
    TimedOut,
    /// The script, or its process, ended during the start.
    Ended(End),
    /// The system cannot start a process.
    System(String),
}

impl From<io::Error> for Unstarted {
    fn from(error: io::Error) -> Self {
        let remedy = Lack::of(&error).map(|it| format!("; {}", it.remedy()));
        Self::System(format!("{error}{}", remedy.unwrap_or_default()))
    }
}

/// A running Deno.
pub(super) struct Process {
    commands: Sender<Value>,
    roster: Arc<Roster>,
    transport: Transport,
    /// The sockets of the slots, if they have names.
    #[cfg(unix)]
    sockets: Vec<PathBuf>,
    slots: usize,
}

impl Process {
    /// Starts a process, without a script.
    pub(super) async fn spawn(launch: &Launch) -> Result<Arc<Self>, Unstarted> {
        let folder = PrivateDir::create("valor-js-")?;
        // Permissions would not apply to links in it.
        let dir = dunce::canonicalize(folder.path())?;
        folder.write("supervisor.js", SUPERVISOR.as_bytes())?;
        folder.write("worker.js", WORKER.as_bytes())?;
        let denos = folder.folder("deno")?;
        // Otherwise Deno would keep scripts' caches in a folder of this name, without a limit.
        private_dir::write_new(&denos.join("location_data"), b"")?;
        let slots = if launch.folder.is_some() { 1 } else { GROUP };
        let control = Control::bind(launch.transport, &dir).await?;
        let sockets: Vec<_> = (0..slots)
            .filter_map(|slot| control.socket(&dir, slot))
            .collect();
        let key = Key::random()?;
        let mut child = spawn(&mut command(launch, &dir, &control, &sockets))?;
        let stdin = child.stdin.take();
        let roster = Arc::new(Roster::default());
        let outputs = output::log(&launch.name, child.stdout.take(), child.stderr.take());
        let up = async {
            let linked = async {
                // If it has ended before it read this, its status says so.
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
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unstarted::System(format!(
                    "{} has not come up within {} s: see that `deno eval 1` works here, or name another Deno in \
                     VALOR_DENO",
                    launch.program.display(),
                    UNTIL_UP.as_secs()
                )));
            }
            Err(error) => return Err(Unstarted::System(format!("Deno did not start: {error}"))),
        };
        let (commands, orders) = unbounded();
        let (closing, closed) = bounded::<()>(1);
        let Link { said, told } = link;
        let (sealer, opener) = key.directions();
        #[cfg(target_os = "linux")]
        smol::spawn(loops::watch(
            child.id(),
            Arc::downgrade(&roster),
            slots == 1,
        ))
        .detach();
        smol::spawn(hear(said, opener, roster.clone())).detach();
        smol::spawn(tell(told, sealer, orders, closing)).detach();
        smol::spawn(attend(child, closed, outputs, roster.clone(), folder)).detach();
        Ok(Arc::new(Self {
            commands,
            roster,
            transport: launch.transport,
            #[cfg(unix)]
            sockets,
            slots,
        }))
    }

    pub(super) fn is_gone(&self) -> bool {
        self.roster.is_gone()
    }

    /// Starts a script in a worker, and returns the worker when it listens; `settled` says whether the script runs.
    pub(super) async fn start(
        &self,
        name: &str,
        mut start: Value,
    ) -> Result<(Arc<Worker>, Starting), Unstarted> {
        let token = random()?;
        let (stages, said) = unbounded();
        let worker = {
            let mut workers = self.roster.workers();
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

    /// Ends a worker that misbehaves, and its process with it.
    pub(super) fn end(&self, worker: &Worker, why: End) {
        let others = format!("`{}`, of its group, {why}", worker.name);
        self.roster.last(End::Died(others));
        worker.end(why);
        self.roster.kill();
    }

    /// Makes a worker end when its promised work is done, or at the latest after this time.
    pub(super) fn stop(&self, worker: &Worker, wait: Duration) {
        let _ = self.commands.try_send(stop(worker.slot, wait));
    }
}

/// A worker whose script is being loaded; if this is dropped before that, the worker is stopped.
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

/// Waits for the end of a process, and kills it if it must end and does not.
async fn attend(
    mut child: Child,
    closed: Receiver<()>,
    outputs: smol::Task<output::Said>,
    roster: Arc<Roster>,
    folder: PrivateDir,
) {
    let late = async {
        let _ = closed.recv().await;
        Timer::after(UNTIL_DOWN).await;
        None
    };
    let killed = async {
        roster.killed().await;
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
    let end = match (roster.last_words(), ended) {
        (Some(end), _) => end.clone(),
        _ if said.out_of_memory => End::Memory,
        _ if closed.is_closed() => End::Stopped,
        (None, Ok(status)) => End::Died(status.to_string()),
        (None, Err(error)) => End::Died(error.to_string()),
    };
    roster.all_end(&end);
    // The supervisor may have removed it.
    let _ = folder.close();
}
