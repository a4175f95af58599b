//! Which certificates the client trusts, and how it speaks TLS: rustls with ring, only HTTP/1.1.

use super::FetchError;
use futures_rustls::{
    pki_types::CertificateDer,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};
use std::sync::Arc;

/// The environment variables that name certificates in place of the platform's.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A configuration that trusts the platform's roots, or Mozilla's if there are none, and these certificates in
/// addition.
pub(super) fn client_config(extra_roots: &[Vec<u8>]) -> Result<ClientConfig, FetchError> {
    let mut roots = platform_roots()?;
    for root in extra_roots {
        roots
            .add(CertificateDer::from(root.as_slice()).into_owned())
            .map_err(FetchError::ExtraRoot)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(FetchError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn platform_roots() -> Result<RootCertStore, FetchError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    if roots.is_empty() {
        let named = VARIABLES
            .iter()
            .find_map(|&variable| Some((variable, std::env::var_os(variable)?)));
        // A user who names certificates does not want others to be trusted instead.
        if let Some((variable, value)) = named {
            return Err(FetchError::Roots {
                variable,
                value: value.to_string_lossy().into_owned(),
                reason: errors
                    .first()
                    .cloned()
                    .unwrap_or_else(|| "it holds none".to_owned()),
            });
        }
        log::info!("the platform has no root certificates; Mozilla's are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    } else {
        for error in errors {
            log::warn!("a root certificate was left out: {error}");
        }
    }
    Ok(roots)
}
