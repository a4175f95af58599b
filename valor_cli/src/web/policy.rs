//! The Content-Security-Policy that a folder works under: its own scripts, WebAssembly, and the servers that its
//! vlugins may reach. `web` prints it and `--serve` sends it.

use std::collections::BTreeSet;
use valor_runtime::{Definition, loader::InPage};

/// The policy for a page with these vlugins.
pub fn policy(definitions: &[Definition]) -> String {
    let guests = definitions
        .iter()
        .filter(|it| !matches!(it.kind.in_page(), InPage::Never | InPage::Folder));
    let allowed: BTreeSet<_> = guests
        .flat_map(|guest| guest.allow.iter().flatten())
        .filter_map(|entry| source(entry))
        .collect();
    let mut policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'".to_owned();
    if !allowed.is_empty() {
        policy.push_str("; connect-src 'self'");
        for source in allowed {
            policy.push(' ');
            policy.push_str(&source);
        }
    }
    policy
}

/// An entry of `allow` for the policy. There, a host without a port only means the scheme's default port, and IPv6
/// addresses cannot be written.
fn source(entry: &str) -> Option<String> {
    match entry.rsplit_once(':') {
        _ if entry.starts_with('[') => None,
        Some(_) => Some(entry.to_owned()),
        None if entry == "*" => Some("*".to_owned()),
        None => Some(format!("{entry}:*")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use valor_runtime::Kind;

    #[test]
    fn what_vlugins_may_reach_is_in_it() {
        let definition = |kind, allow: &[&str]| {
            let mut definition = Definition::new(kind, "a");
            definition.allow = Some(allow.iter().map(|&it| it.to_owned()).collect());
            definition
        };
        let base = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
        assert_eq!(policy(&[]), base);
        assert_eq!(policy(&[definition(Kind::Wasm, &["[::1]:80"])]), base);
        assert_eq!(policy(&[definition(Kind::Native, &["a.example"])]), base);
        assert_eq!(
            policy(&[
                definition(Kind::Wasm, &["b.example", "a.example:443"]),
                definition(Kind::Js, &["*.c.example", "b.example"]),
            ]),
            format!("{base}; connect-src 'self' *.c.example:* a.example:443 b.example:*")
        );
        assert!(policy(&[definition(Kind::Wasm, &["*"])]).ends_with("connect-src 'self' *"));
    }
}
