//! Pure: which addresses count as one peer.

use std::net::IpAddr;

/// The addresses that count as one peer: an IPv4 address, or the /64 of an IPv6 address, which a peer
/// usually has as a whole (RFC 6177 §2).
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub struct Network(IpAddr);

impl Network {
    /// The network that an address belongs to.
    pub fn of(address: IpAddr) -> Self {
        // A socket for both families shows IPv4 addresses as ::ffff:a.b.c.d, which are all in one /64.
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            address @ IpAddr::V4(_) => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_64() {
        let check = |a: &str, b: &str, same: bool| {
            let network = |address: &str| Network::of(address.parse().unwrap());
            assert_eq!(network(a) == network(b), same, "{a} {b}");
        };
        check("10.0.0.1", "10.0.0.1", true);
        check("10.0.0.1", "10.0.0.2", false);
        check("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true);
        check("2001:db8:0:1::1", "2001:db8:0:2::1", false);
        check("::ffff:10.0.0.1", "10.0.0.1", true);
        check("::ffff:10.0.0.1", "::ffff:10.0.0.2", false);
        check("::1", "::2", true);
    }
}
