//! Networks as text, as a request and configurations name them.

use std::net::IpAddr;

/// An address, and how many of its leading bits must be equal. An IPv4 address within IPv6 is one of IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// An address, or a network as in `10.0.0.0/8`. `None` for anything else, and for a network with bits
    /// beyond its mask: most likely that is a mistake, and sshd refuses it, too.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= most)?
            }
            Some(_) => return None,
        };
        let beyond = number(address).checked_shl(u32::from(bits)).unwrap_or(0);
        if beyond != 0 {
            return None;
        }
        Some(match address.to_canonical() {
            canonical if canonical == address => Self { address, bits },
            canonical => Self {
                address: canonical,
                bits: bits.checked_sub(96)?,
            },
        })
    }

    /// Whether an address belongs to it.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let differ = number(self.address) ^ number(address);
        self.address.is_ipv4() == address.is_ipv4()
            && differ.leading_zeros() >= u32::from(self.bits)
    }
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
    fn a_network_has_the_addresses_that_begin_like_it() {
        for (network, address, expect) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.10", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "11.0.0.1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.0/104", "10.0.0.1", true),
        ] {
            let network = Network::parse(network).unwrap();
            let address = address.parse().unwrap();
            assert_eq!(network.has(address), expect, "{network:?} {address}");
        }
        for none in [
            "",
            "db",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "2001:db8::1/32",
            "::ffff:0.0.0.0/95",
        ] {
            assert_eq!(Network::parse(none), None, "{none}");
        }
    }
}
