//! [`TrustedKeys`]: the keys of which one has to sign a file before it is loaded. The native loader asks them if the
//! program was started with `--trust`, and so does `valor_cli verify`.
//!
//! Signatures are minisign's, in a separate file beside the signed one. So `minisign -V` verifies what `valor_cli
//! package --sign` made, and the other way round. The bytes that are verified are those that are then used, whatever
//! happens to the file.

use crate::{
    escape::one_line,
    file::{SECRET, read_given_text, read_text, remedy},
};
use minisign_verify::{Error, PublicKey, Signature};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The public keys of the people whose files are loaded.
#[derive(Clone)]
pub struct TrustedKeys {
    keys: Vec<(PathBuf, PublicKey)>,
    /// Whether the compiled code in their packages is not run.
    compile_all: bool,
}

impl std::fmt::Debug for TrustedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(file, _)| file))
            .finish()
    }
}

/// Who signed a file, with their comment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// The file of the key.
    pub key: PathBuf,
    /// The comment, which was signed together with the file.
    pub comment: String,
}

/// Why a file is not trusted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A key cannot be read.
    #[error("the key {} cannot be read: {error}; {}", file.display(), remedy(error))]
    KeyUnreadable {
        /// The file of the key.
        file: PathBuf,
        /// The system's error.
        error: Arc<io::Error>,
    },

    /// A file is not a public key.
    #[error(
        "{} is not a public key of minisign: give the file that ends in `.pub`, which was written beside the secret \
         key",
        file.display()
    )]
    KeyInvalid {
        /// The file of the key.
        file: PathBuf,
    },

    /// There is no signature.
    #[error(
        "{} is not signed: {} is not there; sign it with `minisign -S`",
        file.display(), signature.display()
    )]
    Unsigned {
        /// The file to load.
        file: PathBuf,
        /// Where its signature should be.
        signature: PathBuf,
    },

    /// The signature cannot be read.
    #[error("the signature {} cannot be read: {reason}; sign the file again", signature.display())]
    Unreadable {
        /// The file of the signature.
        signature: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// The signature belongs to an unknown key.
    #[error(
        "{} is signed with a key that is not trusted: get the file from someone you trust",
        file.display()
    )]
    Untrusted {
        /// The file to load.
        file: PathBuf,
    },

    /// The file is not the one that was signed.
    #[error(
        "{} is not what was signed with {}: it or its signature was altered; get both again",
        file.display(), key.display()
    )]
    Altered {
        /// The file to load.
        file: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

impl TrustedKeys {
    /// Reads public keys, each from a file as minisign writes it.
    ///
    /// # Errors
    /// [`SignatureError::KeyUnreadable`] and [`SignatureError::KeyInvalid`].
    ///
    /// ```
    /// let error = valor_runtime::package::TrustedKeys::read(["Cargo.toml"]).unwrap_err();
    /// assert!(error.to_string().starts_with("Cargo.toml is not a public key of minisign: "));
    /// ```
    pub fn read<F: Into<PathBuf>>(
        files: impl IntoIterator<Item = F>,
    ) -> Result<Self, SignatureError> {
        let key = |file: F| {
            let file = file.into();
            match read_given_text(&file, SECRET) {
                Err(error) => Err(SignatureError::KeyUnreadable {
                    file,
                    error: Arc::new(error.into()),
                }),
                Ok(text) => match PublicKey::decode(&text) {
                    Ok(key) => Ok((file, key)),
                    Err(_) => Err(SignatureError::KeyInvalid { file }),
                },
            }
        };
        let keys = files.into_iter().map(key);
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            compile_all: false,
        })
    }

    /// Runs no machine code that a package has beside a module or a component: everything is compiled here. So the
    /// holders of the keys cannot leave the sandbox, unless a definition names a library of theirs.
    #[must_use]
    pub fn compile_all(mut self) -> Self {
        self.compile_all = true;
        self
    }

    /// Whether [`compile_all`](Self::compile_all) was called.
    pub fn compiles_all(&self) -> bool {
        self.compile_all
    }

    /// Verifies that one of the keys signed these bytes. They come from `file`: the signature is expected beside it,
    /// at [`signature_of`].
    ///
    /// # Errors
    /// A [`SignatureError`] if none did.
    pub fn verify(&self, file: &Path, bytes: &[u8]) -> Result<Signed, SignatureError> {
        let signature = signature_of(file);
        let text = read_text(&signature, SECRET).map_err(|error| match error {
            error if error.is_absent() => SignatureError::Unsigned {
                file: file.to_owned(),
                signature: signature.clone(),
            },
            error => SignatureError::Unreadable {
                signature: signature.clone(),
                reason: error.to_string(),
            },
        })?;
        let unreadable = |reason: &str| SignatureError::Unreadable {
            signature: signature.clone(),
            reason: reason.to_owned(),
        };
        let read =
            Signature::decode(&text).map_err(|_| unreadable("it is not one of minisign's"))?;
        for (key, public) in &self.keys {
            match public.verify(bytes, &read, false) {
                Ok(()) => {
                    return Ok(Signed {
                        key: key.clone(),
                        comment: one_line(read.trusted_comment()),
                    });
                }
                Err(Error::UnexpectedKeyId) => {}
                Err(Error::UnexpectedAlgorithm) => {
                    return Err(unreadable("it is of minisign's old kind, without a hash"));
                }
                Err(_) => {
                    return Err(SignatureError::Altered {
                        file: file.to_owned(),
                        key: key.clone(),
                    });
                }
            }
        }
        Err(SignatureError::Untrusted {
            file: file.to_owned(),
        })
    }
}

/// Where a file's signature is: beside it, with `.minisig` appended to its name.
///
/// ```
/// use std::path::Path;
///
/// let signature = valor_runtime::package::signature_of(Path::new("dir/greet.vlugin"));
/// assert_eq!(signature, Path::new("dir/greet.vlugin.minisig"));
/// ```
pub fn signature_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}
