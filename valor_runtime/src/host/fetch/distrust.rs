//! Why a TLS handshake failed, for people: what is wrong with the server's certificate, and what to do about it.
//! `connect` uses it for the reason of a failed connection.

use futures_rustls::{
    pki_types::UnixTime,
    rustls::{CertificateError, Error, InvalidMessage},
};
use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The message of a fault if no authority that is trusted here issued the server's certificate. Programs that can
/// name another authority look for it.
pub const UNTRUSTED: &str =
    "the server's certificate is from an authority that is not trusted here";

/// How many of a certificate's names are listed.
const NAMES: usize = 5;

/// What is wrong with a root, in a few words.
pub(super) fn root(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => rarer(&format!("{other:?}")),
        _ => "is damaged, or has something in it that is not supported here: make it again",
    }
}

/// The reason in one line.
pub(super) fn why(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidCertificate(error)) => certificate(error),
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the server does not speak TLS there; ask it with http://".to_owned()
        }
        _ => format!("the TLS handshake failed: {error}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    let its = |what: &str| format!("the server's certificate {what}");
    match error {
        // A signature by another key than the authority's, also of another type: the authority has the name of a
        // trusted one, for example of its predecessor.
        E::UnknownIssuer
        | E::BadSignature
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => UNTRUSTED.to_owned(),
        E::UnsupportedSignatureAlgorithmContext { .. } => its(
            "is signed in a way that is not supported here: make it again, signed with RSA, ECDSA or Ed25519 and at \
             least SHA-256",
        ),
        E::UnhandledCriticalExtension => {
            its("has a critical extension that is not supported here: make it again without it")
        }
        E::InvalidOcspResponse => {
            its("comes with a damaged OCSP response: mend or turn off OCSP stapling there")
        }
        E::NotValidForName => its("is for another name; ask it by a name that it contains"),
        E::NotValidForNameContext {
            expected,
            presented,
        } => {
            let expected = expected.to_str();
            let names: Vec<_> = presented.iter().map(|name| named(name)).collect();
            let more = if names.len() > NAMES { ", …" } else { "" };
            let names = match &names[..names.len().min(NAMES)] {
                [] => "no name".to_owned(),
                names => names.join(", ") + more,
            };
            its(&format!(
                "is for {names}, not for {expected}: ask it by a name that it contains"
            ))
        }
        E::Expired => its("has expired: renew it"),
        E::ExpiredContext { not_after, .. } => its(&format!(
            "has expired on {}: renew it, or set this machine's clock",
            date(*not_after)
        )),
        E::NotValidYet => its("is not valid yet: set this machine's clock"),
        E::NotValidYetContext { not_before, .. } => its(&format!(
            "is not valid before {}: set this machine's clock, or wait",
            date(*not_before)
        )),
        E::Revoked => its("was revoked by its authority: get a new one"),
        E::UnknownRevocationStatus
        | E::ExpiredRevocationList
        | E::ExpiredRevocationListContext { .. } => {
            its("may be revoked: its authority's list is missing or out of date")
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            its("is not one for servers: get one with the extended key usage `serverAuth`")
        }
        E::BadEncoding => its("is damaged: make it again"),
        E::Other(other) => its(rarer(&format!("{other:?}"))),
        _ => its("cannot be verified: make it again"),
    }
}

/// What is wrong with a certificate if rustls has no error type for it, by the name of webpki's error.
fn rarer(name: &str) -> &'static str {
    let has = |part: &str| name.contains(part);
    match () {
        // Made by `openssl req -x509`, for example.
        () if has("CaUsedAsEndEntity") => {
            "is an authority's own: make one with `basicConstraints=CA:FALSE`"
        }
        () if has("EndEntityUsedAsCa") => {
            "was issued by a certificate that is not an authority's: get one from an authority"
        }
        () if has("NameConstraintViolation") || has("PathLenConstraintViolated") => {
            "was issued by an authority that may not issue it: get one from another authority"
        }
        () if has("Maximum") => {
            "has a chain that is too long or too complicated: send only the intermediate certificates that it needs"
        }
        () if has("UnsupportedCertVersion") => {
            "is of an old version of X.509: make it again, with version 3"
        }
        () if has("InvalidCertValidity") => "ends before it begins: make it again",
        () => "is damaged, or has something in it that is not supported here: make it again",
    }
}

/// `DnsName("localhost")` as `localhost`. The server chose the text, and it may be long.
fn named(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner);
    cut(inner.trim_end_matches(')').trim_matches('"'))
}

fn date(time: UnixTime) -> String {
    let since = Duration::from_secs(time.as_secs());
    let last = Duration::from_secs(253_402_300_799);
    // HTTP dates end with the year 9999.
    let time: SystemTime = UNIX_EPOCH + since.min(last);
    httpdate::fmt_http_date(time)
}

/// Text from outside, cut short enough to leave room for a reason behind it.
pub(super) fn cut(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_rustls::{pki_types::ServerName, rustls::OtherError};

    fn said(error: CertificateError) -> String {
        why(&io::Error::other(Error::InvalidCertificate(error)))
    }

    /// An error that rustls has no type for.
    fn rare(name: &'static str) -> CertificateError {
        #[derive(Clone, Copy)]
        struct Rare(&'static str);
        impl std::fmt::Debug for Rare {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::fmt::Display for Rare {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl std::error::Error for Rare {}
        CertificateError::Other(OtherError(std::sync::Arc::new(Rare(name))))
    }

    #[test]
    fn a_certificate_is_refused_in_plain_words() {
        use CertificateError as E;
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let names = |count: usize| {
            (0..count)
                .map(|at| format!("DnsName(\"{at}.org\")"))
                .collect()
        };
        let of_names = |presented| E::NotValidForNameContext {
            expected: ServerName::try_from("a.org").unwrap(),
            presented,
        };
        for (error, part) in [
            (E::UnknownIssuer, UNTRUSTED),
            (of_names(names(1)), "is for 0.org, not for a.org: ask it by"),
            (
                of_names(names(6)),
                "is for 0.org, 1.org, 2.org, 3.org, 4.org, …, not for a.org",
            ),
            (of_names(names(0)), "is for no name, not for a.org"),
            (
                E::ExpiredContext {
                    time: at(9),
                    not_after: at(0),
                },
                "has expired on Thu, 01 Jan 1970 00:00:00 GMT: renew it",
            ),
            (
                E::NotValidYetContext {
                    time: at(0),
                    not_before: at(u64::MAX),
                },
                "is not valid before Fri, 31 Dec 9999 23:59:59 GMT: set this machine's clock",
            ),
            (E::Revoked, "was revoked"),
            (E::BadSignature, UNTRUSTED),
            (
                E::UnsupportedSignatureAlgorithmForPublicKeyContext {
                    signature_algorithm_id: vec![42, 134],
                    public_key_algorithm_id: vec![42],
                },
                UNTRUSTED,
            ),
            (
                E::UnsupportedSignatureAlgorithmContext {
                    signature_algorithm_id: vec![42, 134],
                    supported_algorithms: Vec::new(),
                },
                "signed in a way that is not supported here: make it again",
            ),
            (E::UnhandledCriticalExtension, "a critical extension"),
            (E::InvalidOcspResponse, "OCSP"),
            (E::ApplicationVerificationFailure, "make it again"),
            (rare("CaUsedAsEndEntity"), "`basicConstraints=CA:FALSE`"),
            (rare("EndEntityUsedAsCa"), "not an authority's"),
            (rare("MaximumPathDepthExceeded"), "too long"),
            (rare("UnsupportedCertVersion"), "version 3"),
            (rare("TrailingData(Certificate)"), "is damaged"),
        ] {
            let line = said(error);
            assert!(
                line.starts_with("the server's certificate ") && line.contains(part),
                "{line}"
            );
            let is_debug = line.contains(['{', '[', '(']) || line.contains("Context");
            assert!(!is_debug, "{line}");
        }
        let long = said(of_names(vec![format!("DnsName(\"{}\")", "x".repeat(9999))]));
        assert!(long.len() < 500, "{long}");
        let other = why(&io::Error::from(io::ErrorKind::UnexpectedEof));
        assert!(other.starts_with("the TLS handshake failed: "), "{other}");
    }
}
