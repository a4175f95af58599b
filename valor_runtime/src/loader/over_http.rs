//! [`LoadError::over_http`]: what `/_plugins` answers about a vlugin that is not loaded. A client can change
//! definitions only, so the line leaves out where this machine's Deno is and what its administrator could do about it.
//! `runtime` and `valor_cli` call this.

use super::{LoadError, ScriptError};
use crate::escape::one_line;

impl LoadError {
    /// One line for a client of `/_plugins`: what is wrong, and what a change of the definition can do about it.
    pub fn over_http(&self) -> String {
        match self {
            Self::Script(ScriptError::NoDeno { .. }) => {
                "there is no Deno to run `js` vlugins with".into()
            }
            Self::Script(ScriptError::DenoFails { file, reason, .. }) => format!(
                "the Deno that `js` vlugins run in, {}, does not run: {}",
                file.display(),
                one_line(reason)
            ),
            Self::Script(ScriptError::UntrustedDeno { .. }) => {
                "the Deno that was found for `js` vlugins is not run: others could have put it there".into()
            }
            error => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ownership::Untrusted, package::SignatureError};
    use std::path::PathBuf;

    /// Neither a library's user nor a client of `/_plugins` has the options of a command line.
    #[test]
    fn no_error_mentions_an_option_of_a_program() {
        let file = PathBuf::from("/a/b");
        let (files, looked) = (vec!["b.so".to_owned()], vec![PathBuf::from("/a")]);
        let outside = |dirs| LoadError::Outside {
            file: PathBuf::from("/a/b"),
            dirs,
            is_link: false,
            meant: None,
        };
        for error in [
            LoadError::NotFound {
                what: "library",
                name: "b".into(),
                files,
                looked: looked.clone(),
            },
            LoadError::Missing { file: file.clone() },
            outside(looked),
            outside(Vec::new()),
            SignatureError::Unsigned {
                file: file.clone(),
                signature: file.clone(),
            }
            .into(),
            SignatureError::Untrusted { file: file.clone() }.into(),
            SignatureError::KeyInvalid { file: file.clone() }.into(),
        ] {
            let (shown, over_http) = (error.to_string(), error.over_http());
            assert_eq!(shown, over_http);
            for part in ["--", "valor_cli"] {
                assert!(!shown.contains(part), "{shown}");
            }
        }
        for error in [
            ScriptError::NoDeno {
                reason: "not there".into(),
            },
            ScriptError::DenoFails {
                file: file.clone(),
                reason: "it ends".into(),
                lacks: None,
            },
            ScriptError::UntrustedDeno {
                reason: Untrusted::Owned {
                    path: file,
                    owner: 1,
                },
            },
        ] {
            let error = LoadError::from(error);
            let (shown, over_http) = (error.to_string(), error.over_http());
            assert!(!shown.contains("--"), "{shown}");
            assert!(shown.contains("VALOR_DENO"), "{shown}");
            for part in ["--", "VALOR_", "chown"] {
                assert!(!over_http.contains(part), "{over_http}");
            }
        }
    }
}
