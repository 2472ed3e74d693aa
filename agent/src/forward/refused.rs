//! Addresses that nobody may connect to, however a name or a number leads there.

use std::net::IpAddr;

use podgate_proto::limits::METADATA;

/// The metadata services, and the networks that a frontdoor names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(Vec<(IpAddr, u8)>);

impl Refused {
    /// `None` if one of these is no network.
    pub(super) fn parse(networks: &[String]) -> Option<Self> {
        let all = METADATA.iter().copied();
        let all = all.chain(networks.iter().map(String::as_str));
        all.map(network).collect::<Option<_>>().map(Self)
    }

    /// Whether it is refused. The address is canonical.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let number = number(address);
        let of = |(network, bits): &(IpAddr, u8)| {
            let differ = self::number(*network) ^ number;
            let same = differ.checked_shr(u32::from(128 - bits)).unwrap_or(0) == 0;
            network.is_ipv4() == address.is_ipv4() && same
        };
        self.0.iter().any(of)
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let written: IpAddr = address.parse().ok()?;
    let most = if written.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(most);
    let canonical = written.to_canonical();
    let bits = match canonical == written {
        true => bits,
        false => bits.checked_sub(96)?,
    };
    (bits <= most).then_some((canonical, bits))
}

/// The bits of an address, the first one at the top.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
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
