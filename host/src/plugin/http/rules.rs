//! Which destinations are granted, and which of their addresses.

use std::net::{IpAddr, SocketAddr};

use super::address::Reach;
use super::destination::{Destination, Host};
use crate::plugin::{Denial, HttpGrant};

/// What a plugin's `http` grants come to.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    host: Host,
    port: u16,
    private: bool,
}

impl Rules {
    /// The rules that these grants make. One that names no host grants nothing.
    pub fn new(grants: &[HttpGrant]) -> Rules {
        let rule = |grant: &HttpGrant| {
            let bracketed = || format!("[{}]", grant.host);
            let host = Host::parse(&grant.host).or_else(|| Host::parse(&bracketed()))?;
            Some(Rule {
                host,
                port: grant.port,
                private: grant.private,
            })
        };
        Rules(grants.iter().filter_map(rule).collect())
    }

    fn of<'a>(&'a self, destination: &'a Destination) -> impl Iterator<Item = &'a Rule> {
        self.0.iter().filter(|rule| rule.host == destination.host && rule.port == destination.port)
    }

    /// Whether requests may go there at all.
    ///
    /// # Errors
    /// The denial to be counted.
    pub fn check(&self, destination: &Destination) -> Result<(), Denial> {
        if self.of(destination).next().is_some() {
            return Ok(());
        }
        Err(Denial {
            what: format!("HTTP to {destination}"),
            grant: format!("http = [\"{destination}\"]"),
        })
    }

    /// Those of a granted destination's addresses that may be connected to.
    ///
    /// # Errors
    /// None of them may: the denial to be counted, about the first.
    pub fn admitted(&self, destination: &Destination, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Denial> {
        let first = addresses.first().copied();
        let admitted: Vec<SocketAddr> = addresses.into_iter().filter(|address| self.admits(destination, address.ip())).collect();
        match first {
            Some(first) if admitted.is_empty() => {
                let address = Host::Address(first.ip().to_canonical());
                let port = destination.port;
                Err(Denial {
                    what: format!("HTTP to {destination} at {address}"),
                    grant: format!("http = [\"{destination}\", \"{address}:{port}\"]"),
                })
            }
            _ => Ok(admitted),
        }
    }

    fn admits(&self, destination: &Destination, address: IpAddr) -> bool {
        let granted = Host::Address(address.to_canonical());
        if self.0.iter().any(|rule| rule.host == granted && rule.port == destination.port) {
            return true;
        }
        let private = self.of(destination).any(|rule| rule.private);
        match Reach::of(address) {
            Reach::Public => true,
            // Whoever grants "localhost" by name means this machine.
            Reach::Loopback => private || matches!(&destination.host, Host::Name(name) if name == "localhost"),
            Reach::Private => private,
            Reach::LinkLocal | Reach::Special => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str, private: bool) -> HttpGrant {
        HttpGrant::parse(text, private).unwrap()
    }

    fn to(uri: &str) -> Destination {
        Destination::of(&uri.parse().unwrap()).unwrap()
    }

    fn admitted(rules: &Rules, uri: &str, addresses: &[&str]) -> Result<Vec<String>, Denial> {
        let destination = to(uri);
        let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), destination.port)).collect();
        Ok(rules.admitted(&destination, addresses)?.iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn only_what_is_granted_may_be_asked() {
        let rules = Rules::new(&[grant("Example.com:443", false), grant("[::1]:4318", false), grant("10.0.0.7:80", false)]);
        for uri in
            ["https://example.com/a", "https://EXAMPLE.COM.:443", "http://[0::1]:4318", "http://10.0.0.7", "http://[::ffff:10.0.0.7]"]
        {
            assert_eq!(rules.check(&to(uri)), Ok(()), "{uri}");
        }
        for (uri, name) in [
            ("http://example.com", "example.com:80"),
            ("https://sub.example.com", "sub.example.com:443"),
            ("https://example.com.evil.example", "example.com.evil.example:443"),
            ("http://[::1]:4319", "[::1]:4319"),
            ("http://127.0.0.1:4318", "127.0.0.1:4318"),
        ] {
            let denial = Denial {
                what: format!("HTTP to {name}"),
                grant: format!("http = [\"{name}\"]"),
            };
            assert_eq!(rules.check(&to(uri)), Err(denial), "{uri}");
        }
    }

    #[test]
    fn a_name_leads_to_public_addresses_only() {
        let rules = Rules::new(&[grant("example.com:80", false)]);
        let addresses = ["127.0.0.1", "93.184.216.34", "::1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "2606:4700::1"];
        assert_eq!(admitted(&rules, "http://example.com", &addresses).unwrap(), ["93.184.216.34", "2606:4700::1"]);
        for address in ["127.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0"] {
            let shown = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let denial = Denial {
                what: format!("HTTP to example.com:80 at {shown}"),
                grant: format!("http = [\"example.com:80\", \"{shown}:80\"]"),
            };
            assert_eq!(admitted(&rules, "http://example.com", &[address]), Err(denial));
        }
        assert_eq!(admitted(&rules, "http://example.com", &[]), Ok(vec![]));
    }

    #[test]
    fn a_private_address_is_granted_by_address_or_by_saying_private() {
        let by_address = Rules::new(&[grant("collector:4318", false), grant("10.0.0.7:4318", false), grant("169.254.1.1:4318", false)]);
        let uri = "http://collector:4318";
        let addresses = ["10.0.0.7", "10.0.0.8", "127.0.0.1", "169.254.1.1", "::ffff:10.0.0.7"];
        assert_eq!(admitted(&by_address, uri, &addresses).unwrap(), ["10.0.0.7", "169.254.1.1", "::ffff:10.0.0.7"]);
        let private = Rules::new(&[grant("collector:4318", true), grant("other:4318", false)]);
        assert_eq!(admitted(&private, uri, &addresses).unwrap(), ["10.0.0.7", "10.0.0.8", "127.0.0.1", "::ffff:10.0.0.7"]);
        assert!(admitted(&private, uri, &["169.254.169.254"]).is_err(), "the metadata of a cloud is granted by address only");
        assert!(admitted(&private, "http://other:4318", &["10.0.0.7"]).is_err(), "private is said of one destination");
    }

    #[test]
    fn localhost_is_this_machine_and_nothing_else() {
        let rules = Rules::new(&[grant("localhost:4318", false), grant("localhost.localdomain:4318", false)]);
        assert_eq!(admitted(&rules, "http://LOCALHOST:4318", &["127.0.0.1", "::1", "10.0.0.1"]).unwrap(), ["127.0.0.1", "::1"]);
        assert!(admitted(&rules, "http://localhost.localdomain:4318", &["127.0.0.1"]).is_err());
    }
}
