//! The certificate and the key that a server shows, read from files, and read again after a renewal. The program that
//! starts a server makes a [`Tls`]; `handshake` speaks TLS with it. It is rustls with ring, for TLS 1.2 and 1.3 and
//! only HTTP/1.1.

use crate::file::{self, ReadError, Readers};
use arc_swap::ArcSwap;
use futures_rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    rustls::{
        self, Error, InconsistentKeys, ServerConfig,
        crypto::{CryptoProvider, ring},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: the {what} cannot be read: {source}; give a file that this program may read", .file.display())]
    Read {
        /// Which of the two it is.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file has no certificate in it.
    #[error(
        "{}: there is no certificate in it; it must be PEM, the server's own certificate first, then its chain",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// The file has no private key in it.
    #[error(
        "{}: there is no private key in it; it must be PEM, of PKCS#8 (`BEGIN PRIVATE KEY`), SEC1 or PKCS#1",
        .0.display()
    )]
    NoKey(PathBuf),
    /// The key is encrypted.
    #[error(
        "{}: the private key is encrypted, and nobody can enter the password; `openssl pkey -in FILE -out PLAIN` \
         removes it", .0.display()
    )]
    Encrypted(PathBuf),
    /// A part of the file is not what its label says.
    #[error("{}: the {what} is damaged: {source}; copy it again from its issuer", .file.display())]
    Damaged {
        /// Which of the two it is.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key cannot be used.
    #[error("{}: the private key cannot be used: {source}; RSA (2048 to 8192 bits), ECDSA P-256, P-384 and Ed25519 \
             keys can", .file.display())]
    Key {
        /// The file of the key.
        file: PathBuf,
        /// The error from rustls.
        source: Error,
    },
    /// The certificate cannot be used.
    #[error("{}: the first certificate cannot be used: {source}; the server's own, of X.509 version 3, comes \
             first", .file.display())]
    Certificate {
        /// The file of the certificate.
        file: PathBuf,
        /// The error from rustls.
        source: Error,
    },
    /// The key does not belong to the certificate.
    #[error(
        "{}: the private key does not match the first certificate in {}; give a matching pair, with the server's own \
         certificate before its chain",
        .key.display(), .certificate.display()
    )]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// rustls cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] Error),
}

/// A certificate with its key, for [`Server::tls`](crate::server::Server::tls). Clones are handles to the same
/// certificate.
///
/// ```no_run
/// use valor_runtime::server::Tls;
///
/// let tls = Tls::load("fullchain.pem", "privkey.pem")?;
/// // Later, when the files have been renewed:
/// if let Err(error) = tls.reload() {
///     eprintln!("the old certificate stays: {error}");
/// }
/// # Ok::<(), valor_runtime::server::TlsError>(())
/// ```
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

/// What clients are shown now.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads a certificate, followed by its chain, and its key from two PEM files. On Unix it logs a warning if every
    /// user of the machine may read the key.
    ///
    /// # Errors
    /// Everything that keeps the two from being used together.
    pub fn load(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let provider = Arc::new(ring::default_provider());
        let pair = read(&certificate, &key, &provider)?;
        // They are read again later, when a vlugin may have changed the working directory.
        let absolute = |file| std::path::absolute(&file).unwrap_or(file);
        let (certificate, key) = (absolute(certificate), absolute(key));
        let shown = Arc::new(Shown(ArcSwap::from_pointee(pair)));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(Inner {
            certificate,
            key,
            shown,
            config: Arc::new(config),
        })))
    }

    /// Reads the files again, for connections that begin from now on.
    ///
    /// # Errors
    /// As [`Tls::load`]; the old certificate then stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Inner {
            certificate,
            key,
            shown,
            config,
        } = &*self.0;
        let pair = read(certificate, key, config.crypto_provider())?;
        shown.0.store(Arc::new(pair));
        Ok(())
    }

    /// The certificate's file.
    pub fn certificate(&self) -> &Path {
        &self.0.certificate
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.0.config.clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.certificate).finish()
    }
}

/// The certificates (DER) in a PEM file, for
/// [`FetchConfig::extra_roots`](crate::host::fetch::FetchConfig::extra_roots).
///
/// # Errors
/// [`TlsError::Read`], [`TlsError::Damaged`] and [`TlsError::NoCertificate`].
pub fn certificates(file: &Path) -> Result<Vec<Vec<u8>>, TlsError> {
    let pem = file::read_given(file, file::TEXT);
    let pem = pem.map_err(|source| unread("certificate", file, source))?;
    let chain = chain(file, &pem)?;
    Ok(chain.into_iter().map(|it| it.to_vec()).collect())
}

fn chain(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| damaged("certificate", file, source))?;
    match chain.is_empty() {
        true => Err(TlsError::NoCertificate(file.to_owned())),
        false => Ok(chain),
    }
}

fn read(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = chain(certificate, &read_file("certificate", certificate)?)?;
    let pem = read_file("private key", key)?;
    if is_encrypted(&pem) {
        return Err(TlsError::Encrypted(key.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey(key.to_owned()),
        source => damaged("private key", key, source),
    })?;
    let secret = provider.key_provider.load_private_key(secret);
    let secret = secret.map_err(|source| TlsError::Key {
        file: key.to_owned(),
        source,
    })?;
    let pair = CertifiedKey::new(chain, secret);
    match pair.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            return Err(TlsError::Mismatch {
                key: key.to_owned(),
                certificate: certificate.to_owned(),
            });
        }
        Err(source) => {
            return Err(TlsError::Certificate {
                file: certificate.to_owned(),
                source,
            });
        }
    }
    file::warn_of_readers(key, "the private key", Readers::Group);
    Ok(pair)
}

fn read_file(what: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    // Also when it is renewed: what is read again is a file.
    file::read(file, file::TEXT).map_err(|source| unread(what, file, source))
}

fn unread(what: &'static str, file: &Path, source: ReadError) -> TlsError {
    TlsError::Read {
        what,
        file: file.to_owned(),
        source: source.into(),
    }
}

fn damaged(what: &'static str, file: &Path, source: pem::Error) -> TlsError {
    TlsError::Damaged {
        what,
        file: file.to_owned(),
        source,
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    // The second is the mark inside an ordinary section, from before PKCS#8.
    let marks: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    marks
        .iter()
        .any(|mark| memchr::memmem::find(pem, mark).is_some())
}
