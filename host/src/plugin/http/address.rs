//! What kind of network an address belongs to. Only the public one is there for plugins without saying so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The internet.
    Public,
    /// This machine.
    Loopback,
    /// A private network: RFC 1918, carriers' (100.64.0.0/10), unique local ones (fc00::/7).
    Private,
    /// This link, the metadata services of clouds among them.
    LinkLocal,
    /// Addresses that no server has: unspecified, multicast, documentation, benchmarks, tunnels, reserved.
    Special,
}

impl Reach {
    /// Where `address` is. An address of version 4 inside one of version 6 is judged as what it is.
    pub fn of(address: IpAddr) -> Reach {
        match address.to_canonical() {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }
}

fn v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        [169, 254, ..] => Reach::LinkLocal,
        // This network, protocol assignments, the relay of 6to4, benchmarks, multicast and what follows it.
        [0, ..] | [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] | [224..=255, ..] => Reach::Special,
        _ if address.is_documentation() => Reach::Special,
        _ => Reach::Public,
    }
}

fn v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // What NAT64 makes of an address of version 4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        [0xfc00..=0xfdff, ..] => Reach::Private,
        [0xfe80..=0xfebf, ..] => Reach::LinkLocal,
        // Protocol assignments with Teredo, documentation, 6to4, documentation again.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Special,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn all(reach: Reach, addresses: &str) {
        for address in addresses.split_whitespace() {
            assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
        }
    }

    #[test]
    fn the_first_and_the_last_address_of_each_range_are_known() {
        let public = "1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0
            172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 8.8.8.8";
        all(Reach::Public, public);
        all(Reach::Loopback, "127.0.0.0 127.0.0.1 127.255.255.255");
        all(Reach::Private, "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255 100.64.0.0 100.127.255.255");
        all(Reach::LinkLocal, "169.254.0.0 169.254.169.254 169.254.255.255");
        let special = "0.0.0.0 0.255.255.255 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.0 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
            239.255.255.255 240.0.0.1 255.255.255.255";
        all(Reach::Special, special);
    }

    #[test]
    fn version_6_is_judged_by_its_own_ranges_and_by_what_is_inside() {
        all(Reach::Public, "2000:: 2001:200:: 2606:4700::1111 3ffe:ffff::1 64:ff9b::808:808 ::ffff:8.8.8.8");
        all(Reach::Loopback, "::1 ::ffff:127.0.0.1 64:ff9b::7f00:1");
        all(Reach::Private, "fc00:: fdff:ffff::1 ::ffff:10.0.0.7 64:ff9b::a00:7");
        all(Reach::LinkLocal, "fe80::1 febf::1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe");
        let special = ":: ::2 ::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:1ff::1 2001:db8::1 2002:7f00:1:: 3fff::1 3fff:fff::1 4000:: 5f00::1
            fec0::1 ff02::1 ::ffff:0.0.0.0";
        all(Reach::Special, special);
    }
}
