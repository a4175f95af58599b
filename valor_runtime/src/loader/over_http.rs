//! [`LoadError::over_http`]: what `/_plugins` says of a vlugin that is not loaded. A client has not started
//! the program, so the line leaves out what the command line alone could do about it. `runtime` and `valor_cli` ask.

use super::{
    LoadError, ScriptError,
    lists::{Any, PluginDirs},
    one_line,
};
use crate::package::SignatureError;

impl LoadError {
    /// One line that says what is wrong, and what to do about it from where only definitions can be changed.
    pub fn over_http(&self) -> String {
        const NAME_IT: &str = "put it there, or give its file in `path`";
        match self {
            Self::NotFound {
                name,
                files,
                looked,
            } => format!(
                "no library for `{name}` was found: {} is not in {}; {NAME_IT}",
                Any(files),
                Any(looked)
            ),
            Self::Missing { file } => {
                format!("{} does not exist: correct `path`", file.display())
            }
            Self::Outside { file, dirs } => format!(
                "{} is not inside {} once its symbolic links are resolved{}",
                file.display(),
                PluginDirs(dirs),
                match dirs.is_empty() {
                    true => "",
                    false => ": put the file there",
                }
            ),
            Self::Signature(SignatureError::Unsigned { file, signature }) => format!(
                "{} is not signed: {} is not there; sign it with `minisign -S`",
                file.display(),
                signature.display()
            ),
            Self::Script(error) => match error {
                ScriptError::NotFound {
                    name,
                    files,
                    looked,
                } => format!(
                    "no script for `{name}` was found: {} is not in {}; {NAME_IT}",
                    Any(files),
                    Any(looked)
                ),
                ScriptError::NoDeno { .. } => "there is no Deno to run `js` vlugins with".into(),
                ScriptError::DenoFails { file, reason, .. } => format!(
                    "the Deno that `js` vlugins run in, {}, does not run: {}",
                    file.display(),
                    one_line(reason)
                ),
                ScriptError::UntrustedDeno { .. } => {
                    "the Deno that was found for `js` vlugins is not run: others could have put it there".into()
                }
                error => error.to_string(),
            },
            error => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::Untrusted;
    use std::path::PathBuf;

    /// A line in which an option or a variable of the command line stands would be one too many.
    #[test]
    fn no_option_of_the_command_line_is_said_over_http() {
        let file = PathBuf::from("/a/b");
        let (files, looked) = (vec!["b.so".to_owned()], vec![PathBuf::from("/a")]);
        for error in [
            LoadError::NotFound {
                name: "b".into(),
                files: files.clone(),
                looked: looked.clone(),
            },
            LoadError::Missing { file: file.clone() },
            LoadError::Outside {
                file: file.clone(),
                dirs: looked.clone(),
            },
            LoadError::Outside {
                file: file.clone(),
                dirs: Vec::new(),
            },
            SignatureError::Unsigned {
                file: file.clone(),
                signature: file.clone(),
            }
            .into(),
            ScriptError::NotFound {
                name: "b".into(),
                files,
                looked,
            }
            .into(),
            ScriptError::NoDeno {
                reason: "not there".into(),
            }
            .into(),
            ScriptError::DenoFails {
                file: file.clone(),
                reason: "it ends".into(),
                is_limited: false,
            }
            .into(),
            ScriptError::UntrustedDeno {
                reason: Untrusted::Owned {
                    path: file,
                    owner: 1,
                },
            }
            .into(),
        ] {
            let (shown, over_http) = (error.to_string(), error.over_http());
            assert!(shown.contains("--") || shown.contains("chown"), "{shown}");
            for part in ["--", "VALOR_", "chown"] {
                assert!(!over_http.contains(part), "{over_http}");
            }
        }
    }
}
