//! Which servers a vlugin may reach: the `allow` of plugins.json, read and judged.
//!
//! The runtime reads an [`Allow`] when it loads a vlugin, and [`Fetcher`] asks it before each request. A list without
//! a wildcard opens exactly what it names. A wildcard opens only the public internet: a host that leads to an address
//! inside (see `inside`) has to be named, whatever its DNS says today.
//!
//! | entry | opens |
//! |---|---|
//! | `api.example.com` | this host, on any port |
//! | `api.example.com:443` | this host, on this port |
//! | `*.example.com`, `*.example.com:443` | its sub-domains at any depth, not `example.com` itself |
//! | `10.0.0.7:8080`, `[::1]:8080` | this address, if the URL contains it as such |
//! | `*`, `*:443` | every host |
//!
//! [`Fetcher`]: crate::host::fetch::Fetcher

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// The servers that one vlugin may reach. Cheap to clone.
///
/// ```
/// use valor_runtime::host::allow::Allow;
///
/// let allow = Allow::parse(&["*.example.com:443".into(), "localhost:8080".into()])?;
/// assert!(allow.permits("api.example.com", 443));
/// assert!(!allow.permits("example.com", 443));
/// assert!(allow.permits("LOCALHOST", 8080));
///
/// let error = Allow::parse(&["https://example.com/".into()]).unwrap_err();
/// assert!(error.to_string().contains("https://example.com/"));
/// # Ok::<(), valor_runtime::host::allow::AllowError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Allow {
    patterns: Arc<[Pattern]>,
    /// Whether hosts that only a wildcard opens may lead inside.
    wildcards_lead_inside: bool,
}

/// An invalid entry of `allow`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{pattern}` in `allow` {reason}; write `host`, `host:port`, `*.domain`, `[ipv6]:port`, or `*` for all"
)]
pub struct AllowError {
    /// The entry, as it was written.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Which of a host's addresses may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The host was named: all of them.
    Anywhere,
    /// A wildcard opened it: only addresses that are not [`inside`].
    Outside,
}

/// Why a host must not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAllowed {
    /// No entry covers it.
    NotListed,
    /// It is an address inside, and only a wildcard covers it.
    Inside(IpAddr, &'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    host: HostPattern,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// The domain with a dot before it.
    Under(String),
    Exactly(Host),
}

/// A host in its one spelling: lower case, no final dot, IPv4 as IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Reads a host as URLs write it (WHATWG URL, section 3.5); IPv6 with or without brackets.
    pub(crate) fn parse(host: &str) -> Option<Self> {
        if let Ok(v6) = host.parse::<Ipv6Addr>() {
            return Some(Self::Address(IpAddr::V6(v6).to_canonical()));
        }
        Some(match url::Host::parse(host).ok()? {
            url::Host::Ipv4(v4) => Self::Address(v4.into()),
            url::Host::Ipv6(v6) => Self::Address(IpAddr::V6(v6).to_canonical()),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                (!name.is_empty()).then(|| Self::Name(name.to_owned()))?
            }
        })
    }
}

impl Allow {
    /// Every server, also those inside. A native vlugin without `allow` gets this, since its code could open sockets
    /// by itself.
    pub fn all() -> Self {
        Self {
            patterns: Arc::new([Pattern {
                host: HostPattern::Any,
                port: None,
            }]),
            wildcards_lead_inside: true,
        }
    }

    /// No server at all: a sandboxed vlugin without `allow` gets this.
    pub fn none() -> Self {
        Self {
            patterns: Arc::new([]),
            wildcards_lead_inside: false,
        }
    }

    /// Reads the entries of `allow`. The module's page lists their forms.
    ///
    /// # Errors
    /// The first invalid entry.
    pub fn parse(entries: &[String]) -> Result<Self, AllowError> {
        let patterns = entries.iter().map(|entry| {
            Pattern::parse(entry).map_err(|reason| AllowError {
                pattern: entry.clone(),
                reason,
            })
        });
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
            wildcards_lead_inside: false,
        })
    }

    /// Lets wildcards open addresses inside as well, for kinds of vlugins that are not sandboxed.
    pub fn with_inside(mut self) -> Self {
        self.wildcards_lead_inside = true;
        self
    }

    /// Whether a request to this host and port may be sent. If a wildcard opens the host, the addresses that its name
    /// resolves to are judged again at the time of connecting.
    pub fn permits(&self, host: &str, port: u16) -> bool {
        Host::parse(host).is_some_and(|host| self.reach(&host, port).is_ok())
    }

    pub(crate) fn reach(&self, host: &Host, port: u16) -> Result<Reach, NotAllowed> {
        let mut wild = false;
        for pattern in self.patterns.iter() {
            if pattern.port.is_some_and(|only| only != port) {
                continue;
            }
            match &pattern.host {
                HostPattern::Exactly(named) if named == host => return Ok(Reach::Anywhere),
                HostPattern::Exactly(_) => {}
                HostPattern::Any => wild = true,
                HostPattern::Under(domain) => {
                    wild |= matches!(host, Host::Name(name)
                        if name.len() > domain.len() && name.ends_with(domain.as_str()));
                }
            }
        }
        match host {
            _ if !wild => Err(NotAllowed::NotListed),
            _ if self.wildcards_lead_inside => Ok(Reach::Anywhere),
            Host::Name(_) => Ok(Reach::Outside),
            Host::Address(address) => match inside(*address) {
                Some(kind) => Err(NotAllowed::Inside(*address, kind)),
                None => Ok(Reach::Outside),
            },
        }
    }
}

impl Pattern {
    fn parse(entry: &str) -> Result<Self, &'static str> {
        if entry.contains("://") {
            return Err("has a scheme");
        }
        if entry.contains('/') {
            return Err("has a path or a range of addresses, which `allow` does not support");
        }
        let (host, port) = match entry.strip_prefix('[').and_then(|e| e.split_once(']')) {
            Some((_, "")) => (entry, None),
            Some((v6, rest)) => {
                let port = rest.strip_prefix(':').ok_or("has no `:` before its port")?;
                (&entry[..v6.len() + 2], Some(port))
            }
            None if entry.matches(':').count() > 1 => {
                return Err("has more than one colon; an IPv6 address needs brackets");
            }
            None => match entry.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (entry, None),
            },
        };
        let port = match port {
            Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => match port.parse() {
                Ok(0) | Err(_) => return Err("has a port that is not one of 1 to 65535"),
                Ok(port) => Some(port),
            },
            Some(_) => return Err("has a port that is not a number"),
            None => None,
        };
        let host = match host.strip_prefix('*') {
            None if host.contains('*') => return Err("has a `*` that is not its first label"),
            None => HostPattern::Exactly(Host::parse(host).ok_or("is not a host")?),
            Some("") => HostPattern::Any,
            Some(domain) => {
                let domain = domain
                    .strip_prefix('.')
                    .ok_or("has a `*` that is not a whole label")?;
                match Host::parse(domain) {
                    _ if domain.contains('*') => return Err("has more than one `*`"),
                    Some(Host::Name(name)) => HostPattern::Under(format!(".{name}")),
                    Some(Host::Address(_)) => return Err("has a `*` before an address"),
                    None => return Err("has no domain after its `*.`"),
                }
            }
        };
        Ok(Self { host, port })
    }
}

/// The kind of an address that does not belong to the public internet: loopback, private (RFC 1918), link-local,
/// unique-local (RFC 4193), carrier-grade NAT (RFC 6598), multicast, unspecified, or reserved in the registries of
/// RFC 6890. An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is judged as that address.
pub(crate) fn inside(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => inside_v4(v4),
        IpAddr::V6(v6) => inside_v6(v6),
    }
}

fn inside_v4(v4: Ipv4Addr) -> Option<&'static str> {
    Some(match v4.octets() {
        [0, 0, 0, 0] => "an unspecified address",
        [127, ..] => "a loopback address",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [169, 254, ..] => "a link-local address",
        [100, 64..=127, ..] => "an address behind carrier-grade NAT",
        [224..=239, ..] => "a multicast address",
        [0, ..] | [240..=255, ..] => "a reserved address",
        [192, 0, 0, _] | [192, 0, 2, _] | [198, 18..=19, ..] => "a reserved address",
        [198, 51, 100, _] | [203, 0, 113, _] => "a reserved address",
        _ => return None,
    })
}

fn inside_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let carried = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        inside_v4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // The rest of ::/96 is deprecated; 64:ff9b:1::/48 is for local use (RFC 8215).
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some("a reserved address"),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => carried(high, low),
        [0x2002, high, low, ..] => carried(high, low),
        // Teredo, ORCHID, documentation, discard-only.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => Some("a reserved address"),
        [0x3fff, 0..=0xfff, ..] | [0x100, 0, 0, 0..=1, ..] => Some("a reserved address"),
        [0xfc00..=0xfdff, ..] => Some("a unique-local address"),
        [0xfe80..=0xfeff, ..] => Some("a link-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(entries: &[&str]) -> Allow {
        let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
        Allow::parse(&entries).unwrap()
    }

    #[test]
    fn what_each_entry_opens() {
        for (entry, host, port, opens) in [
            ("api.example.com", "api.example.com", 443, true),
            ("api.example.com", "api.example.com", 8443, true),
            ("api.example.com", "API.Example.COM.", 80, true),
            ("API.example.com.", "api.example.com", 80, true),
            ("api.example.com", "example.com", 443, false),
            ("api.example.com", "xapi.example.com", 443, false),
            ("api.example.com:443", "api.example.com", 443, true),
            ("api.example.com:443", "api.example.com", 80, false),
            ("*.example.com", "a.example.com", 1, true),
            ("*.example.com", "a.b.Example.com", 1, true),
            ("*.example.com", "example.com", 1, false),
            ("*.example.com", "badexample.com", 1, false),
            ("*.example.com", ".example.com", 1, false),
            ("*.example.com:80", "a.example.com", 81, false),
            ("bücher.example", "xn--bcher-kva.example", 1, true),
            ("[::1]:8080", "::1", 8080, true),
            ("[::1]:8080", "[::1]", 8080, true),
            ("[::1]:8080", "[0:0:0::0:1]", 8080, true),
            ("[::1]:8080", "[::1]", 8081, false),
            ("[::1]", "[::1]", 1, true),
            ("127.0.0.1:80", "127.0.0.1", 80, true),
            ("127.0.0.1:80", "0x7f.1", 80, true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]", 80, true),
            ("127.0.0.1:80", "localhost", 80, false),
            ("*", "example.com", 80, true),
            ("*", "93.184.216.34", 80, true),
            ("*", "[2606:2800:220:1::1]", 80, true),
            ("*", "127.0.0.1", 80, false),
            ("*", "2130706433", 80, false),
            ("*", "[::ffff:10.0.0.1]", 80, false),
            ("*", "[::1]", 80, false),
            ("*:443", "example.com", 443, true),
            ("*:443", "example.com", 80, false),
            ("*", "", 80, false),
            ("*", "a b", 80, false),
        ] {
            assert_eq!(
                allow(&[entry]).permits(host, port),
                opens,
                "`{entry}` for {host}:{port}"
            );
        }
    }

    #[test]
    fn a_host_that_is_named_may_lead_inside_and_one_behind_a_wildcard_may_not() {
        let both = allow(&["*", "db.example.com:80", "10.0.0.7"]);
        let reach = |host: &str, port| both.reach(&Host::parse(host).unwrap(), port);
        assert_eq!(reach("db.example.com", 80), Ok(Reach::Anywhere));
        assert_eq!(reach("db.example.com", 81), Ok(Reach::Outside));
        assert_eq!(reach("example.com", 80), Ok(Reach::Outside));
        assert_eq!(reach("10.0.0.7", 1), Ok(Reach::Anywhere));
        assert!(matches!(reach("10.0.0.8", 1), Err(NotAllowed::Inside(..))));
        assert_eq!(
            Allow::none().reach(&Host::parse("a").unwrap(), 80),
            Err(NotAllowed::NotListed)
        );
        for all in [Allow::all(), allow(&["*"]).with_inside()] {
            for host in ["localhost", "127.0.0.1", "::1", "example.com"] {
                assert_eq!(
                    all.reach(&Host::parse(host).unwrap(), 80),
                    Ok(Reach::Anywhere)
                );
            }
        }
    }

    #[test]
    fn a_wrong_entry_is_named_with_what_is_right() {
        for (entry, reason) in [
            ("https://example.com", "scheme"),
            ("example.com/path", "path"),
            ("10.0.0.0/8", "range"),
            ("", "not a host"),
            ("a b", "not a host"),
            (" example.com", "not a host"),
            ("user@example.com", "not a host"),
            ("1.2.3.4.5", "not a host"),
            ("example.com:", "1 to 65535"),
            ("example.com:0", "1 to 65535"),
            ("example.com:65536", "1 to 65535"),
            ("example.com:http", "not a number"),
            ("example.com:+80", "not a number"),
            ("::1", "brackets"),
            ("::1:8080", "brackets"),
            ("[::1]8080", "`:`"),
            ("[::1", "brackets"),
            ("[nonsense]:1", "not a host"),
            ("api.*.com", "first label"),
            ("*example.com", "whole label"),
            ("*.", "no domain"),
            ("*.*.com", "more than one"),
            ("*.10.0.0.1", "address"),
        ] {
            let error = Allow::parse(&["ok.example".into(), entry.into()]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(&format!("`{entry}`")), "{text}");
            assert!(
                text.contains(reason),
                "`{entry}` should say {reason}: {text}"
            );
            assert!(text.contains("`host:port`"), "{text}");
        }
    }

    #[test]
    fn addresses_inside_and_outside() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.255",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert!(inside(parsed).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(inside(address.parse().unwrap()), None, "{address}");
        }
    }
}
