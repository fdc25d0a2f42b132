//! Where a request goes, in the one form in which grants are compared.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::uri::Scheme;

/// The longest name that DNS has.
const NAME_BYTES: usize = 253;

/// Scheme, host and port of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    pub tls: bool,
    pub host: Host,
    pub port: u16,
}

/// A host: names and addresses that are the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Host {
    /// In lower case, without a dot at its end.
    Name(String),
    /// Of version 4 wherever it can be.
    Address(IpAddr),
}

impl Destination {
    /// Where `uri` leads; `None` when it names no host, names a user, or its port is none.
    pub fn of(uri: &http::Uri) -> Option<Destination> {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let authority = uri.authority()?.as_str();
        let (host, port) = split(authority);
        let port = match port {
            Some(port) => number(port)?,
            None => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        Some(Destination { tls, host: Host::parse(host)?, port })
    }
}

/// Host and port of an authority; a colon inside brackets begins no port.
pub(super) fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A port, digits only.
pub(super) fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Host {
    /// A name, an address of version 4, or one of version 6 in brackets.
    pub fn parse(text: &str) -> Option<Host> {
        if let Some(inside) = text.strip_prefix('[') {
            let address: Ipv6Addr = inside.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Address(address.to_canonical()));
        }
        if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
            return Some(Host::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = !name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(letter);
        good.then_some(Host::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Option<String> {
        Destination::of(&uri.parse().ok()?).map(|destination| destination.to_string())
    }

    #[test]
    fn equal_destinations_are_written_alike() {
        for (uri, destination) in [
            ("http://example.com/", "example.com:80"),
            ("https://EXAMPLE.com./x", "example.com:443"),
            ("http://otel_collector:4318/v1/traces", "otel_collector:4318"),
            ("http://[::1]:4318/", "[::1]:4318"),
            ("http://[0:0:0:0:0:0:0:1]/", "[::1]:80"),
            ("http://[::ffff:10.0.0.7]:1/", "10.0.0.7:1"),
        ] {
            assert_eq!(of(uri).as_deref(), Some(destination), "{uri}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_destination() {
        for uri in [
            "http://user@example.com/",
            "http://example.com:80@evil.example/",
            "http://example.com:/",
            "http://example.com:+80/",
            "http://example.com:99999/",
            "http://[fe80::1%25eth0]/",
            "http://exa%6dple.com/",
            "http://./",
        ] {
            assert_eq!(of(uri), None, "{uri}");
        }
        assert_eq!(of("http://2130706433/").as_deref(), Some("2130706433:80"), "a name, for the resolver and its check");
        assert_eq!(of("http://127.1/").as_deref(), Some("127.1:80"), "too");
    }
}
