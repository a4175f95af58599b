//! `web --serve --watch`: the folder written anew whenever plugins.json, or what it names, changes. `web` starts it.
//!
//! What is broken leaves the folder as it is, and the log says why. A page that is loaded again has what is new.

use super::{failed, make, serve::Policy};
use crate::{
    args::WebArgs,
    build_sources::Stop,
    exit::Failure,
    load::Vlugins,
    log_writer::LogWriter,
    plugins_file::PluginsFile,
    run::not_watched,
    watch::{Wanted, Watch},
};
use std::sync::Arc;
use valor_runtime::{Definition, Runtime};

/// What is needed to write it again.
pub struct Again {
    args: WebArgs,
    file: PluginsFile,
    log: LogWriter,
    watch: Watch,
    /// It knows where files with bare names are; nothing is loaded into it.
    runtime: Arc<Runtime>,
    read: Vec<Definition>,
}

impl Again {
    /// Watches from now on, before anything is read to be written.
    ///
    /// # Errors
    /// That plugins.json is standard input, or that the system does not tell of changes.
    pub fn start(args: &WebArgs, file: &PluginsFile, log: &LogWriter) -> Result<Self, Failure> {
        let Some(path) = file.again() else {
            return Err(failed(
                "--watch needs a plugins.json that can be read again: name its file with -p",
            ));
        };
        let wanted = Wanted {
            build: args.build.is_wanted(),
            signed: false,
            copies_into: std::path::absolute(&args.output).ok(),
        };
        let mut builder = Runtime::builder().base_dir(file.base());
        for dir in &args.plugin_dir {
            builder = builder.plugin_dir(dir);
        }
        let mut again = Self {
            watch: Watch::start(path, &args.plugin_dir, wanted).map_err(not_watched)?,
            runtime: builder.build().map_err(failed)?,
            args: args.clone(),
            file: file.clone(),
            log: log.clone(),
            read: Vec::new(),
        };
        again.look();
        Ok(again)
    }

    /// Notes how everything is now: it is to be read next.
    fn look(&mut self) {
        let builds = self.args.build.is_wanted();
        self.read = Vlugins::read(Some(self.file.clone()), builds).as_read();
        self.watch.look_at(&self.read, &self.runtime);
    }

    /// Waits for changes, on a thread of its own: a build may take minutes.
    ///
    /// # Errors
    /// That there can be no such thread.
    pub fn listen(mut self, policy: Policy, stop: Stop) -> Result<(), Failure> {
        log::info!(target: "valor::watch", "changes of plugins.json and of what it names are taken as they come");
        std::thread::Builder::new()
            .name("valor-web".into())
            .spawn(move || {
                while smol::block_on(self.watch.event()) {
                    if self.watch.touched(&self.read, &self.runtime).is_none() {
                        continue;
                    }
                    self.look();
                    let made = make(&self.args, &self.log, &self.file, &stop);
                    if stop.is_stopped() {
                        return;
                    }
                    let folder = self.args.output.display();
                    match made {
                        Ok(made) => {
                            policy.set(made.policy);
                            log::info!(target: "valor", "{folder} is written anew, {} files", made.files);
                        }
                        Err(failure) => {
                            failure.log();
                            log::error!(target: "valor", "{folder} stays as it was");
                        }
                    }
                }
            })
            .map_err(failed)?;
        Ok(())
    }
}
