//! SIGINT and SIGTERM, on Windows Ctrl-C and Ctrl-Break: the first one makes the server drain, the second ends the
//! program at once. Either ends cargo's builds, even before anything is served. SIGHUP makes the server read
//! plugins.json and a renewed certificate again, if it has them. It never ends the program. Windows has no such signal.
//!
//! A command that does not serve is ended by each of them, as by default, but it removes its temporary folders first.

use crate::{exit, log_writer::LogWriter, programs::Stop, reload::Ask};
use smol::channel::{Receiver, Sender, bounded};
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};
use valor_runtime::{private_dir, server::Tls};

/// Whether [`listen`] has taken the signals over.
static SERVES: AtomicBool = AtomicBool::new(false);

/// From now on, a signal ends this program, the programs that it has started, and its temporary folders. One that the
/// parent ignores, as `nohup` does, stays ignored. If the system refuses to deliver signals, they only end this
/// program.
#[cfg(unix)]
pub fn clean_up() {
    use async_signal::{Signal, Signals};
    use futures_lite::StreamExt;

    let all = [Signal::Hup, Signal::Int, Signal::Term];
    let wanted = all.into_iter().filter(|it| !is_ignored(*it as u32));
    let Ok(mut signals) = Signals::new(wanted) else {
        return;
    };
    let cleaner = std::thread::Builder::new().name("valor-end".into());
    let _ = cleaner.spawn(move || {
        while let Some(Ok(signal)) = smol::block_on(signals.next()) {
            if SERVES.load(Ordering::SeqCst) {
                return;
            }
            Stop::all_now();
            private_dir::remove_all();
            // As if nobody had listened.
            let _ = signal_hook::low_level::emulate_default_handler(signal as i32);
        }
    });
}

/// Ctrl-C ends the program at once there, and the handler can be set only once, by [`listen`].
#[cfg(not(unix))]
pub fn clean_up() {}

/// Whether the parent has this signal ignored. Only Linux says so in a file.
#[cfg(unix)]
fn is_ignored(signal: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Listens from now on, on a separate thread, so that signals arrive while vlugins block every worker. The future ends
/// with the first signal, which also ends the builds of `builds`.
///
/// # Errors
/// If the system refuses to deliver signals.
pub fn listen(
    log: LogWriter,
    tls: Option<Tls>,
    reload: Option<Ask>,
    builds: Stop,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let (send, first): (_, Receiver<()>) = bounded(1);
    SERVES.store(true, Ordering::SeqCst);
    hear(Heard {
        send,
        log,
        draining: false,
        tls,
        reload,
        builds,
    })?;
    Ok(async move {
        let _ = first.recv().await;
    })
}

struct Heard {
    send: Sender<()>,
    log: LogWriter,
    draining: bool,
    #[cfg_attr(not(unix), allow(dead_code))] // Nothing asks for it there.
    tls: Option<Tls>,
    #[cfg_attr(not(unix), allow(dead_code))] // As above.
    reload: Option<Ask>,
    builds: Stop,
}

impl Heard {
    fn signal(&mut self, name: &str) {
        if self.draining {
            log::warn!(target: "valor", "{name}: the second signal, ending at once");
            self.log.flush();
            Stop::all_now();
            private_dir::remove_all();
            std::process::exit(exit::SECOND_SIGNAL.into());
        }
        self.draining = true;
        log::info!(target: "valor", "{name}: running requests finish first; a second signal ends at once");
        self.builds.now();
        let _ = self.send.try_send(());
    }

    #[cfg(unix)]
    fn hang_up(&self) {
        if self.reload.is_none() && self.tls.is_none() {
            log::info!(
                target: "valor",
                "SIGHUP: there is nothing to read again, neither a plugins.json nor a certificate"
            );
        }
        if let Some(reload) = &self.reload {
            reload.again();
        }
        let Some(tls) = &self.tls else { return };
        match tls.reload() {
            Ok(()) => {
                log::info!(
                    target: "valor",
                    "SIGHUP: the certificate in {} is used from now on",
                    tls.certificate().display()
                );
            }
            Err(error) => {
                log::error!(target: "valor", "SIGHUP: the old certificate stays in use: {error}");
            }
        }
    }
}

#[cfg(unix)]
fn hear(mut heard: Heard) -> io::Result<()> {
    use async_signal::{Signal, Signals};
    use futures_lite::StreamExt;

    let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup])?;
    std::thread::Builder::new()
        .name("valor-signals".into())
        .spawn(move || {
            while let Some(signal) = smol::block_on(signals.next()) {
                match signal {
                    Ok(Signal::Int) => heard.signal("SIGINT"),
                    Ok(Signal::Hup) => heard.hang_up(),
                    Ok(_) => heard.signal("SIGTERM"),
                    Err(error) => {
                        log::error!(target: "valor", "signals cannot be handled: {error}")
                    }
                }
            }
        })?;
    Ok(())
}

/// The handler runs on a thread that `ctrlc` starts.
#[cfg(windows)]
fn hear(mut heard: Heard) -> io::Result<()> {
    ctrlc::set_handler(move || heard.signal("Ctrl-C")).map_err(io::Error::other)
}
