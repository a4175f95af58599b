//! How long compiling a module may take, and when the log says that it takes long. The loaders
//! compile with [`in_time`].

use super::compile::Stage;
use crate::{Definition, loader::LoadError, timer::Timer};
use futures_lite::future;
use smol::{channel::Receiver, lock::Semaphore};
use std::time::Duration;

/// How many files are read at once. They are compiled one by one. Those that wait for that must not take all of the
/// threads that may block, because files are read on these.
static READING: Semaphore = Semaphore::new(4);

/// Checks and compiles the file of a definition, on a thread that may block, and within the time that it may take. The
/// file's `compile` tells how far it is; `late` is the error if it takes longer than this.
///
/// # Errors
/// Those of `compile`, and `late`.
pub(in crate::loader) async fn in_time<T: Send + 'static>(
    definition: &Definition,
    late: impl FnOnce(Duration) -> LoadError,
    compile: impl FnOnce(&(dyn Fn(Stage) + Sync)) -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    limited(definition, ONCE, late, compile).await
}

/// The same for what is compiled again at each start.
pub(in crate::loader) async fn in_time_again<T: Send + 'static>(
    definition: &Definition,
    late: impl FnOnce(Duration) -> LoadError,
    compile: impl FnOnce(&(dyn Fn(Stage) + Sync)) -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    limited(definition, EACH_TIME, late, compile).await
}

/// What the log says of the next start.
const ONCE: &str = "the next start will find it compiled";
const EACH_TIME: &str =
    "each start does so, because its state is in it (`\"instance\": \"request\"`)";

async fn limited<T: Send + 'static>(
    definition: &Definition,
    next: &str,
    late: impl FnOnce(Duration) -> LoadError,
    compile: impl FnOnce(&(dyn Fn(Stage) + Sync)) -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let _reading = READING.acquire().await;
    let (stage, stages) = smol::channel::unbounded();
    let compiling = smol::unblock(move || {
        // If it is late, nobody listens any more.
        compile(&|now| {
            let _ = stage.try_send(now);
        })
    });
    let over = async {
        let most = COMPILE_TIMEOUT.saturating_mul(definition.limits.compile());
        let limit = over(&stages, COMPILE_TIMEOUT, most).await;
        Err(late(limit))
    };
    let work = future::or(compiling, over);
    with_a_line(&definition.name, next, NOTABLE, work).await
}

/// A file that takes longer than this to compile gets a line in the log.
const NOTABLE: Duration = Duration::from_secs(1);

/// How long reading and counting a module may take, and then compiling it, multiplied by `limits.compile`. The time in
/// which others are compiled does not count.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until a module is late, and returns the limit that it exceeded: `first` until it waits for its turn, `most`
/// from its turn on.
async fn over(stages: &Receiver<Stage>, first: Duration, most: Duration) -> Duration {
    let mut limit = Some(first);
    loop {
        let late = async {
            match limit {
                Some(limit) => Timer::after(limit).await,
                None => future::pending().await,
            };
            None
        };
        let next = async {
            match stages.recv().await {
                Ok(stage) => Some(stage),
                // It is done, or about to be.
                Err(_) => future::pending().await,
            }
        };
        match (future::or(next, late).await, limit) {
            (Some(Stage::Waits), _) => limit = None,
            (Some(Stage::Compiles), _) => limit = Some(most),
            (None, limit) => return limit.unwrap_or(most),
        }
    }
}

/// Logs a line if the work takes longer than `patience`.
async fn with_a_line<T>(
    name: &str,
    next: &str,
    patience: Duration,
    work: impl Future<Output = T>,
) -> T {
    let line = async {
        Timer::after(patience).await;
        log::info!(
            target: "valor::wasm", vlugin = name;
            "compiling the vlugin `{name}`; {next}"
        );
        future::pending().await
    };
    future::or(work, line).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::channel::{Sender, unbounded};
    use std::sync::OnceLock;

    static LINES: OnceLock<(Sender<String>, Receiver<String>)> = OnceLock::new();

    struct Log;

    impl log::Log for Log {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            let line = record.args().to_string();
            if line.starts_with("compiling") {
                let _ = LINES.get_or_init(unbounded).0.try_send(line);
            }
        }

        fn flush(&self) {}
    }

    #[test]
    fn while_others_are_compiled_no_module_is_late() {
        let (first, most) = (Duration::from_millis(1), Duration::from_millis(2));
        let (stage, stages) = unbounded();
        // It is still being read.
        assert_eq!(future::block_on(over(&stages, first, most)), first);
        stage.try_send(Stage::Waits).unwrap();
        let mut waiting = Box::pin(over(&stages, Duration::ZERO, Duration::ZERO));
        assert_eq!(future::block_on(future::poll_once(&mut waiting)), None);
        assert!(stages.is_empty());
        stage.try_send(Stage::Compiles).unwrap();
        assert_eq!(future::block_on(waiting), Duration::ZERO);
        for each in [Stage::Waits, Stage::Compiles] {
            stage.try_send(each).unwrap();
        }
        assert_eq!(future::block_on(over(&stages, first, most)), most);
    }

    #[test]
    fn what_takes_longer_than_a_while_says_so() {
        log::set_logger(&Log).expect("no logger before");
        log::set_max_level(log::LevelFilter::Info);
        let (_, lines) = LINES.get_or_init(unbounded);
        future::block_on(async {
            // Done at once: no line, however short the patience is.
            assert_eq!(
                with_a_line("quick", ONCE, Duration::ZERO, async { 1 }).await,
                1
            );
            // Done once the line is there.
            let compiling = future::or(async { lines.recv().await.unwrap() }, async {
                Timer::after(Duration::from_secs(60)).await;
                "no line".to_owned()
            });
            let line = with_a_line("slow", ONCE, Duration::from_millis(1), compiling).await;
            assert!(line.contains("`slow`"), "{line}");
            assert!(line.contains("the next start"), "{line}");
        });
        assert!(lines.is_empty());
        assert_eq!(NOTABLE, Duration::from_secs(1));
    }
}
