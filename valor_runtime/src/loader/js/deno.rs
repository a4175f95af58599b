//! Which Deno runs the scripts: where it is looked for, and what is asked of it.
//!
//! The loader asks once, when the first script is loaded. Whoever gets a [`PathBuf`] from here has a program that
//! has said its version.

use crate::{loader::ScriptError, private_dir::PrivateDir};
use std::{
    env,
    path::{Path, PathBuf},
    process::Stdio,
};

/// From this version on, a permission opens one Unix socket and not all of them.
const LEAST: (u32, u32) = (2, 9);

/// What a Deno says of itself: version, then its own file, as what was found may be a script that calls it.
const ASK: &str = "console.log(Deno.version.deno + '\\n' + Deno.execPath())";

/// The Deno to run: the one that was named, or that of `VALOR_DENO`, of a `node_modules` here or above, or of
/// the `PATH`.
///
/// # Errors
/// [`ScriptError::NoDeno`] and [`ScriptError::OldDeno`].
pub(super) async fn find(named: Option<&Path>, base: &Path) -> Result<PathBuf, ScriptError> {
    let named = named.map(Path::to_owned).or_else(|| {
        let variable = env::var_os("VALOR_DENO");
        variable.filter(|it| !it.is_empty()).map(PathBuf::from)
    });
    let file = match named {
        Some(file) => file,
        None => looked_for(base).ok_or_else(|| ScriptError::NoDeno {
            reason: "it is neither in node_modules/.bin nor on the PATH".into(),
        })?,
    };
    let none = |reason: String| ScriptError::NoDeno {
        reason: format!("{} {reason}", file.display()),
    };
    let scratch = PrivateDir::create("valor-deno-")
        .map_err(|error| none(format!("has no folder: {error}")))?;
    let asked = smol::process::Command::new(&file)
        .args(["eval", "--no-config", "--no-lock", ASK])
        .env("DENO_DIR", scratch.path())
        .env("DENO_NO_UPDATE_CHECK", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| none(format!("cannot be run: {error}")))?;
    let said = String::from_utf8_lossy(&asked.stdout);
    let (version, program) = said
        .trim_end()
        .split_once('\n')
        .ok_or_else(|| none("does not say its version".into()))?;
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

fn looked_for(base: &Path) -> Option<PathBuf> {
    let modules = base.ancestors().map(|dir| dir.join("node_modules"));
    let modules = modules.flat_map(|dir| in_modules().iter().map(move |file| dir.join(file)));
    let path = env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = env::split_paths(&path).collect();
    let path = path
        .iter()
        .flat_map(|dir| on_path().iter().map(move |name| dir.join(name)));
    modules.chain(path).find(|file| file.is_file())
}

/// Where npm puts it. On Windows `.bin` has a script for its shell, which takes a Node.js to run: the program itself
/// first, wherever its package is.
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
