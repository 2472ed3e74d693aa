//! Addresses that nobody may connect to, however a name or a number leads there.

use std::net::IpAddr;

use podgate_proto::limits::METADATA;
use podgate_proto::network::Network;

/// The metadata services, and the networks that a frontdoor names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(Vec<Network>);

impl Refused {
    /// `None` if one of these is no network.
    pub(super) fn parse(networks: &[String]) -> Option<Self> {
        let all = METADATA.iter().copied();
        let all = all.chain(networks.iter().map(String::as_str));
        all.map(Network::parse).collect::<Option<_>>().map(Self)
    }

    /// Whether it is refused.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.has(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_added_to_the_metadata_services() {
        let networks = ["10.0.0.0/8", "fd00::/16", "::ffff:192.0.2.0/120", "0.0.0.0"];
        let refused = Refused::parse(&networks.map(str::to_owned)).unwrap();
        for (address, expect) in [
            ("169.254.169.254", true),
            ("169.254.169.253", false),
            ("fd00:ec2::254", true),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("fd00::1", true),
            ("fd01::1", false),
            ("192.0.2.200", true),
            ("192.0.3.1", false),
            ("0.0.0.0", true),
            ("0.0.0.1", false),
        ] {
            assert_eq!(refused.has(address.parse().unwrap()), expect, "{address}");
        }
        let all = Refused::parse(&["::/0".to_owned()]).unwrap();
        assert!(all.has("2001:db8::1".parse().unwrap()));
        assert!(!all.has("10.0.0.1".parse().unwrap()));
        for none in ["", "db", "10.0.0.0/33", "10.0.0.0/x", "::ffff:10.0.0.0/8"] {
            assert_eq!(Refused::parse(&[none.to_owned()]), None, "{none}");
        }
    }
}
