//! [`Builder`]: builds sources on a separate thread while everything else goes on. `reload` builds for `run --watch`
//! and SIGHUP, and `web` for `web --watch`.
//!
//! Only one cargo runs at a time: two would wait for each other in one target folder. The newest edit is built first,
//! and libraries before modules and components. A cargo that delays a newer edit is ended, and its work is queued
//! again after that edit; cargo keeps the crates that are done. Each outcome is reported as soon as cargo has it.

use crate::{
    args::{BuildArgs, LogArgs, LogFormat},
    build_sources::{How, Outcome, Product, build_each},
    log_writer::LogWriter,
    programs::Stop,
};
use smol::channel::{Receiver, Sender, unbounded};
use std::{collections::BTreeSet, path::PathBuf};
use valor_runtime::Definition;

/// What is being built, and what is to be built next.
pub struct Builder {
    base: PathBuf,
    release: bool,
    json: bool,
    quiet: bool,
    log: LogWriter,
    /// Ends everything.
    stop: Stop,
    /// The newest first.
    wanted: Vec<Definition>,
    running: Option<Running>,
    /// How many builds have begun. Results of earlier ones are ignored.
    number: u64,
    said: (Sender<Said>, Receiver<Said>),
}

struct Running {
    stop: Stop,
    /// The names of the definitions that it builds.
    names: BTreeSet<String>,
}

/// What the thread reports: an outcome for the definition with this name, or that it has ended.
struct Said {
    number: u64,
    outcome: Option<(String, Outcome)>,
}

impl Builder {
    /// A builder for sources that are relative to `base`. `stop` ends it.
    pub fn new(
        base: PathBuf,
        build: &BuildArgs,
        log: &LogArgs,
        writer: &LogWriter,
        stop: &Stop,
    ) -> Self {
        Self {
            base,
            release: build.is_release(),
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

    /// Builds the sources of these definitions. A running build gives way, unless these are only modules and components.
    pub fn build(&mut self, definitions: Vec<Definition>) {
        let running = self.running.as_ref();
        let is_running = |name: &str| {
            running.is_some_and(|it| it.names.contains(name)) && self.is_building(name)
        };
        let urgent = |it: &&Definition| Product::of(it) == Product::Library || is_running(&it.name);
        let urgent = definitions.iter().find(urgent).map(|it| it.name.clone());
        let is_again = |it: &Definition| definitions.iter().any(|again| again.name == it.name);
        self.wanted.retain(|it| !is_again(it));
        match (urgent, self.running.take()) {
            (Some(name), Some(running)) => {
                running.stop.now();
                if !self.wanted.is_empty() {
                    log::info!(target: "valor::build", "the current build is repeated after `{name}`");
                }
                drop(self.wanted.splice(..0, definitions));
            }
            (None, Some(mut running)) => {
                // They were built, and are built again after the rest.
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
            log::error!(target: "valor::build", "nothing is built: the system cannot start a thread for it: {error}");
            self.running = None;
        }
    }

    /// Builds only those whose names are wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.wanted.retain(|it| is_wanted(&it.name));
    }

    /// Whether this one is still to be built.
    pub fn is_building(&self, name: &str) -> bool {
        self.wanted.iter().any(|it| it.name == name)
    }

    /// Waits for the next outcome, with the definition's name.
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
