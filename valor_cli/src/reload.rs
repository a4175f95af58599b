//! plugins.json read again while the server runs: what is new is loaded, what has changed is replaced,
//! what is gone is taken out, and all else goes on. SIGHUP asks for it.
//!
//! Nothing that is wrong ends the program: a file with faults changes nothing, and a vlugin that cannot
//! be loaded leaves the one before it in its place. The log says why.

use crate::{
    args::{BuildArgs, LogArgs},
    load::Vlugins,
    log_writer::LogWriter,
};
use smol::channel::{Receiver, Sender, bounded};
use std::{path::PathBuf, sync::Arc};
use valor_runtime::{Change, Definition, Runtime};

/// What is needed to read plugins.json again.
pub struct Reload {
    pub file: PathBuf,
    pub build: BuildArgs,
    pub log: LogArgs,
    pub writer: LogWriter,
    pub runtime: Arc<Runtime>,
    /// What is served of it.
    pub served: Vec<Definition>,
}

/// Asks for it; one that is under way already is followed by another.
#[derive(Clone)]
#[cfg_attr(not(unix), allow(dead_code))] // Windows has no SIGHUP.
pub struct Ask(Sender<()>);

impl Ask {
    #[cfg_attr(not(unix), allow(dead_code))] // As above.
    pub fn again(&self) {
        let _ = self.0.try_send(());
    }
}

/// Where it can be asked for, and where [`Reload::listen`] hears of it.
pub fn channel() -> (Ask, Receiver<()>) {
    let (send, receive) = bounded(1);
    (Ask(send), receive)
}

impl Reload {
    /// Waits for whoever asks, on a thread of its own: a build may take minutes.
    ///
    /// # Errors
    /// Where there can be no such thread.
    pub fn listen(mut self, asked: Receiver<()>) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("valor-reload".into())
            .spawn(move || {
                while asked.recv_blocking().is_ok() {
                    self.again();
                }
            })?;
        Ok(())
    }

    fn again(&mut self) {
        let shown = self.file.display();
        let mut vlugins = Vlugins::read(Some(&self.file));
        if let Err(faults) = vlugins.faults() {
            faults.log();
            log::error!(target: "valor", "{shown} has faults, and nothing is changed");
            return;
        }
        vlugins.build(&self.build, &self.log, &self.writer);
        if let Err(faults) = vlugins.faults() {
            // Those that were not built keep what was served before them.
            faults.log();
        }
        let wanted = vlugins.definitions(&self.served);
        match smol::block_on(self.runtime.apply(&self.served, &wanted)) {
            Ok(applied) => {
                let mut kept = 0;
                let mut failed = Vec::new();
                for it in applied {
                    let name = it.name.as_str();
                    match it.change {
                        Change::Kept => kept += 1,
                        Change::Failed(error) => {
                            log::error!(target: "valor", vlugin = name; "the vlugin `{name}` stays as it was: {error}");
                            failed.push(it.name);
                        }
                        change => {
                            let what = format!("{change:?}").to_lowercase();
                            log::info!(target: "valor", vlugin = name; "the vlugin `{name}` is {what}");
                        }
                    }
                }
                log::info!(target: "valor", "{shown} is served as it stands now; {kept} vlugins were kept");
                self.note(wanted, &failed);
            }
            Err(error) => {
                log::error!(target: "valor", "{shown} cannot be served as it stands now, and nothing is changed: {error}");
            }
        }
    }

    /// What is served from here on: of those that failed, what was served before.
    fn note(&mut self, wanted: Vec<Definition>, failed: &[String]) {
        let before = std::mem::take(&mut self.served);
        let stays = |definition: &Definition| failed.contains(&definition.name);
        let now = wanted.into_iter().filter(|it| !stays(it));
        self.served = now.chain(before.into_iter().filter(stays)).collect();
    }
}
