//! Finds the Deno that runs the scripts, and checks its version.
//!
//! The loader looks for each script, and asks each program that it finds once ([`Asked`]). A [`PathBuf`] from [`ask`]
//! is a program that has reported its version.

use super::asked::{Answer, LONGEST, Unanswered, answer};
use crate::{
    loader::{Lack, ScriptError},
    private_dir::PrivateDir,
    project,
};
use std::{
    collections::HashMap,
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// From this version on, a permission opens only one Unix socket, and not all of them.
pub(crate) const LEAST: (u32, u32) = (2, 9);

/// What a Deno reports about itself: its version, then its own file.
const ASK: &str = "console.log(Deno.version.deno + '\\n' + Deno.execPath())";

/// The Deno to run: the one that the user named, or that of `VALOR_DENO`, of the project of plugins.json, of the
/// script's own project, or on the `PATH`.
///
/// # Errors
/// [`ScriptError::NoDeno`] and [`ScriptError::UntrustedDeno`].
pub(super) fn find(
    named: Option<&Path>,
    base: &Path,
    script: &Path,
) -> Result<PathBuf, ScriptError> {
    if let Some(named) = self::named(named) {
        return Ok(named);
    }
    for folder in [base, script.parent().unwrap_or(base)] {
        let found = project::program(folder, in_modules());
        let found = found.map_err(|reason| ScriptError::UntrustedDeno { reason })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut path =
        env::split_paths(&path).flat_map(|dir| on_path().iter().map(move |name| dir.join(name)));
    let found = path.find(|file| file.is_file());
    found.ok_or_else(|| ScriptError::NoDeno {
        reason: "it is neither in node_modules/.bin nor on the PATH".into(),
    })
}

/// The Deno that the user named, perhaps by `VALOR_DENO`.
pub(super) fn named(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| {
        let variable = env::var_os("VALOR_DENO");
        variable.filter(|it| !it.is_empty()).map(PathBuf::from)
    })
}

/// The programs that were asked, each with its own file, or with why it is none and until when that holds.
#[derive(Default)]
pub(super) struct Asked(smol::lock::Mutex<HashMap<PathBuf, Known>>);

type Known = Result<PathBuf, Failure>;

/// Why a program is none, and how long it took to find that out.
struct Failure {
    error: ScriptError,
    asked: Instant,
    answered: Instant,
}

impl Failure {
    fn holds(&self, now: Instant) -> bool {
        let took = self.answered.saturating_duration_since(self.asked);
        now.saturating_duration_since(self.answered) < took
    }
}

impl Asked {
    /// What a program has said, which is asked now if that is not known. A failure holds for as long as it took: a
    /// program that says nothing is not waited for once for each script.
    ///
    /// # Errors
    /// As [`ask`].
    pub(super) async fn program(&self, found: PathBuf) -> Result<PathBuf, ScriptError> {
        let mut known = self.0.lock().await;
        match known.get(&found) {
            Some(Ok(program)) => return Ok(program.clone()),
            Some(Err(failure)) if failure.holds(Instant::now()) => {
                return Err(failure.error.clone());
            }
            _ => {}
        }
        let asked = Instant::now();
        let answer = ask(found.clone()).await;
        let failed = |error| Failure {
            error,
            asked,
            answered: Instant::now(),
        };
        known.insert(found, answer.clone().map_err(failed));
        answer
    }
}

/// Checks that a program is a suitable Deno, and returns its own file: the given program may be a script that calls it.
///
/// # Errors
/// [`ScriptError::NoDeno`] and [`ScriptError::OldDeno`].
pub(super) async fn ask(file: PathBuf) -> Result<PathBuf, ScriptError> {
    let none = |reason: String| ScriptError::NoDeno {
        reason: format!("{} {reason}", file.display()),
    };
    // Each process that runs scripts will need one, so this is reported first, and once.
    let temporary = PrivateDir::create("valor-deno-").and_then(PrivateDir::close);
    temporary.map_err(|error| ScriptError::NoTemporary {
        dir: env::temp_dir(),
        reason: error.to_string(),
        lacks: Lack::of(&error),
    })?;
    let mut command = Command::new(&file);
    command.args(["eval", "--no-config", "--no-lock", ASK]);
    let asked = answer(command).await.map_err(|why| match why {
        // Any other error says nothing about whether there is one.
        Unanswered::System(error) if error.kind() == ErrorKind::NotFound && !file.exists() => {
            none(format!("cannot be run: {error}"))
        }
        why => unanswered(&file, &why),
    })?;
    let said = String::from_utf8_lossy(&asked.stdout);
    let (version, program) =
        said.trim_end()
            .split_once('\n')
            .ok_or_else(|| ScriptError::DenoFails {
                file: file.clone(),
                reason: ended(&asked),
                lacks: has_few_addresses().then_some(Lack::Addresses),
            })?;
    let mut numbers = version.split('.').map_while(|part| part.parse().ok());
    let number = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    if number < LEAST {
        return Err(ScriptError::OldDeno {
            file,
            found: version.to_owned(),
            least: format!("{}.{}", LEAST.0, LEAST.1),
        });
    }
    Ok(PathBuf::from(program))
}

/// Why a program is taken for no Deno, which was ended before it had said its version.
fn unanswered(file: &Path, why: &Unanswered) -> ScriptError {
    let lacks = match why {
        Unanswered::System(error) => Lack::of(error),
        _ => None,
    };
    let reason = match why {
        Unanswered::System(error) => error.to_string(),
        Unanswered::Late => format!("it did not say its version within {} s", LONGEST.as_secs()),
        Unanswered::Long => "it said more than its version".into(),
        Unanswered::Fifo(_) => "it waits for a FIFO and does not say its version".into(),
    };
    ScriptError::DenoFails {
        file: file.to_owned(),
        reason,
        lacks,
    }
}

/// How it ended, and the first line that it printed.
fn ended(output: &Answer) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said
        .lines()
        .map(str::trim)
        .find(|line| line.chars().any(char::is_alphanumeric));
    let first: String = first.unwrap_or_default().chars().take(200).collect();
    match (output.status.success(), first.is_empty()) {
        (true, _) => "it does not say its version".into(),
        (false, true) => output.status.to_string(),
        (false, false) => format!("{}: {first}", output.status),
    }
}

/// Whether this process has a limited address space.
fn has_few_addresses() -> bool {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::As).current.is_some()
    }
    #[cfg(not(unix))]
    false
}

/// Where npm puts it. On Windows, `.bin` has a shell script that needs Node.js. So the program itself comes first,
/// wherever its package is.
fn in_modules() -> &'static [&'static str] {
    match cfg!(windows) {
        true => &[
            "deno/deno.exe",
            "@deno/win32-x64/deno.exe",
            "@deno/win32-arm64/deno.exe",
            ".bin/deno.exe",
            ".bin/deno.cmd",
        ],
        false => &[".bin/deno"],
    }
}

fn on_path() -> &'static [&'static str] {
    match cfg!(windows) {
        true => &["deno.exe", "deno.cmd"],
        false => &["deno"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_says_nothing_is_named_with_the_time_and_what_to_do() {
        let error = unanswered(Path::new("/bin/it"), &Unanswered::Late);
        assert_eq!(
            error.to_string(),
            "the Deno that `js` vlugins run in, /bin/it, does not run: it did not say its version within 20 s; see \
             that `deno eval 1` works here, or name another one in VALOR_DENO"
        );
    }

    #[test]
    fn one_that_says_nothing_is_not_waited_for_once_for_each_script() {
        let seconds = std::time::Duration::from_secs;
        let asked = Instant::now();
        let failure = Failure {
            error: unanswered(Path::new("/bin/it"), &Unanswered::Late),
            asked,
            answered: asked + LONGEST,
        };
        let holds = |since| failure.holds(failure.answered + since);
        assert!(holds(seconds(0)) && holds(LONGEST - seconds(1)));
        // It may have been mended since.
        assert!(!holds(LONGEST));
    }
}
