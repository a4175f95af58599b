//! [`Builder`]: sources that are built on a thread of their own while everything else goes on. `reload` builds what
//! `run --watch` and SIGHUP ask for, and `web` what `web --watch` does.
//!
//! One cargo runs at a time: two would wait for each other in one target folder. What was edited last comes first, and
//! libraries before modules. A cargo that is in the way of a newer edit is ended, and what it was to build is built
//! again behind that; cargo keeps the crates that were done. Each outcome is given as soon as cargo has it.

use crate::{
    args::{BuildArgs, LogArgs, LogFormat},
    build_sources::{How, Outcome, build_each},
    log_writer::LogWriter,
    programs::Stop,
};
use smol::channel::{Receiver, Sender, unbounded};
use std::{collections::BTreeSet, path::PathBuf};
use valor_runtime::{Definition, package::WASM_TARGET};

/// What is built, and what is to be built next.
pub struct Builder {
    base: PathBuf,
    release: bool,
    json: bool,
    quiet: bool,
    log: LogWriter,
    /// Ends all of it.
    stop: Stop,
    /// The newest first.
    wanted: Vec<Definition>,
    running: Option<Running>,
    /// How many times it was begun. What an earlier one says is nobody's business any more.
    number: u64,
    said: (Sender<Said>, Receiver<Said>),
}

struct Running {
    stop: Stop,
    /// The names of those that it was begun for.
    names: BTreeSet<String>,
}

/// What the thread says: of the definition with this name, or that it has ended.
struct Said {
    number: u64,
    outcome: Option<(String, Outcome)>,
}

impl Builder {
    /// One for sources that are relative to `base`, until `stop`.
    pub fn new(
        base: PathBuf,
        build: &BuildArgs,
        log: &LogArgs,
        writer: &LogWriter,
        stop: &Stop,
    ) -> Self {
        Self {
            base,
            release: build.release,
            json: log.log_format == LogFormat::Json,
            quiet: log.quiet,
            log: writer.clone(),
            stop: stop.clone(),
            wanted: Vec::new(),
            running: None,
            number: 0,
            said: unbounded(),
        }
    }

    /// Builds the sources of these. What is built already gives way, unless these are modules alone.
    pub fn build(&mut self, definitions: Vec<Definition>) {
        let running = self.running.as_ref();
        let is_running = |name: &str| {
            running.is_some_and(|it| it.names.contains(name)) && self.is_building(name)
        };
        let urgent =
            |it: &&Definition| it.kind.target() != Some(WASM_TARGET) || is_running(&it.name);
        let urgent = definitions.iter().find(urgent).map(|it| it.name.clone());
        let is_again = |it: &Definition| definitions.iter().any(|again| again.name == it.name);
        self.wanted.retain(|it| !is_again(it));
        match (urgent, self.running.take()) {
            (Some(name), Some(running)) => {
                running.stop.now();
                if !self.wanted.is_empty() {
                    log::info!(target: "valor::build", "what is built now is built again behind `{name}`");
                }
                drop(self.wanted.splice(..0, definitions));
            }
            (None, Some(mut running)) => {
                // They were built, and are to be built once more behind the rest.
                let is_again = |name: &str| definitions.iter().any(|it| it.name == name);
                running.names.retain(|name| !is_again(name));
                self.running = Some(running);
                self.wanted.extend(definitions);
            }
            (_, None) => drop(self.wanted.splice(..0, definitions)),
        }
        self.begin();
    }

    fn begin(&mut self) {
        if self.running.is_some() || self.wanted.is_empty() || self.stop.is_stopped() {
            return;
        }
        self.number += 1;
        let stop = self.stop.part();
        self.running = Some(Running {
            stop: stop.clone(),
            names: self.wanted.iter().map(|it| it.name.clone()).collect(),
        });
        let (number, said, definitions) = (self.number, self.said.0.clone(), self.wanted.clone());
        let (base, log) = (self.base.clone(), self.log.clone());
        let (release, json, quiet) = (self.release, self.json, self.quiet);
        let begun = std::thread::Builder::new()
            .name("valor-build".into())
            .spawn(move || {
                let how = How {
                    log: &log,
                    release,
                    json,
                    quiet,
                    stop: &stop,
                };
                let say = |outcome| _ = said.try_send(Said { number, outcome });
                build_each(
                    definitions.iter().enumerate(),
                    &base,
                    how,
                    &mut |at, outcome| {
                        say(Some((definitions[at].name.clone(), outcome)));
                    },
                );
                say(None);
            });
        if let Err(error) = begun {
            log::error!(target: "valor::build", "nothing is built, the system gives no thread for it: {error}");
            self.running = None;
        }
    }

    /// Builds none but those whose names are wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.wanted.retain(|it| is_wanted(&it.name));
    }

    /// Whether this one is not built yet.
    pub fn is_building(&self, name: &str) -> bool {
        self.wanted.iter().any(|it| it.name == name)
    }

    /// Waits for the next outcome: the definition's name, and what came of it.
    pub async fn next(&mut self) -> (String, Outcome) {
        loop {
            let Ok(Said { number, outcome }) = self.said.1.recv().await else {
                return std::future::pending().await;
            };
            if number != self.number {
                continue;
            }
            match outcome {
                Some((name, outcome)) => {
                    let at = self.wanted.iter().position(|it| it.name == name);
                    if let Some(at) = at {
                        self.wanted.remove(at);
                        return (name, outcome);
                    }
                }
                None => {
                    if let Some(Running { names, .. }) = self.running.take() {
                        self.wanted.retain(|it| !names.contains(&it.name));
                    }
                    self.begin();
                }
            }
        }
    }
}
