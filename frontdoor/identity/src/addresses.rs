//! Lists of addresses: `from` of a key, `source-address` of a certificate, proxies. They match as in
//! sshd (addr_match_list and addr_match_cidr_list of OpenSSH), but a host name is an error: nothing
//! here looks names up, so it would never match.

use std::net::IpAddr;

use podgate_proto::network::Network;

use crate::wildcard;

/// A list that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address, a network or a pattern of addresses")]
pub struct Error(String);

/// A list that addresses are matched against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(Vec<(Sign, Pattern)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Fits,
    /// Written with `!`: an address that matches it does not fit, whatever else matches.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Network(Network),
    /// A pattern with `*` and `?` for the address as text.
    Text(String),
}

impl Addresses {
    /// A list of patterns with `*`, `?` and `!`, addresses and networks (ssh_config(5), PATTERNS).
    pub fn patterns(list: &str) -> Result<Self, Error> {
        let part = |part: &str| {
            let (sign, text) = match part.strip_prefix('!') {
                Some(rest) => (Sign::Never, rest),
                None => (Sign::Fits, part),
            };
            let network = Network::parse(text).map(Pattern::Network);
            let pattern = network.or_else(|| text_pattern(text));
            pattern
                .map(|pattern| (sign, pattern))
                .ok_or_else(|| Error(part.to_owned()))
        };
        Ok(Self(list.split(',').map(part).collect::<Result<_, _>>()?))
    }

    /// A list of addresses and networks alone (PROTOCOL.certkeys, source-address).
    pub fn networks(list: &str) -> Result<Self, Error> {
        let part = |part: &str| {
            let network = Network::parse(part).ok_or_else(|| Error(part.to_owned()))?;
            Ok((Sign::Fits, Pattern::Network(network)))
        };
        Ok(Self(list.split(',').map(part).collect::<Result<_, _>>()?))
    }

    /// Whether an address fits.
    pub fn fit(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let text = address.to_string();
        let fits = |pattern: &Pattern| match pattern {
            Pattern::Network(network) => network.has(address),
            Pattern::Text(pattern) => wildcard::matches(pattern, &text),
        };
        let any = |sign| {
            let mut of_sign = self.0.iter().filter(|(own, _)| *own == sign);
            of_sign.any(|(_, pattern)| fits(pattern))
        };
        any(Sign::Fits) && !any(Sign::Never)
    }
}

/// A pattern with `*` or `?` that the text of an address could match.
fn text_pattern(text: &str) -> Option<Pattern> {
    let of_addresses = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'*' | b'?');
    let wild = text.contains(['*', '?']) && text.bytes().all(of_addresses);
    // std writes addresses in lower case (RFC 5952 §4.3).
    wild.then(|| Pattern::Text(text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_sshd_matches_them() {
        let check = |list: &str, address: &str, expect| {
            let list = Addresses::patterns(list).unwrap();
            let address = address.parse().unwrap();
            assert_eq!(list.fit(address), expect, "{list:?} {address}");
        };
        check("10.0.0.1", "10.0.0.1", true);
        check("10.0.0.1", "10.0.0.10", false);
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "11.0.0.1", true);
        check("0.0.0.0/0", "::1", false);
        check("10.0.0.*", "10.0.0.77", true);
        check("10.0.?.1", "10.0.0.1", true);
        check("10.0.?.1", "10.0.10.1", false);
        check("*", "2001:db8::1", true);
        check("192.0.2.1,10.0.0.0/8", "10.1.1.1", true);
        // A refusal holds wherever it stands. A list of refusals alone lets nobody in.
        check("!10.0.0.1,10.0.0.0/8", "10.0.0.1", false);
        check("10.0.0.0/8,!10.0.0.1", "10.0.0.1", false);
        check("10.0.0.0/8,!10.0.0.1", "10.0.0.2", true);
        check("!10.0.0.1", "10.0.0.2", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("2001:DB8::*", "2001:db8::1", true);
        // A socket of both kinds gives an IPv4 client an address of this form.
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("::ffff:10.0.0.0/104", "10.0.0.1", true);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for list in [
            "",
            "10.0.0.1,",
            "!",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "2001:db8::1/32",
            "::ffff:0.0.0.0/95",
            "example.com",
            "*.example.com",
            "10.0.0.1 ",
        ] {
            assert!(Addresses::patterns(list).is_err(), "{list:?}");
        }
        for list in ["", "10.0.0.*", "!10.0.0.1", "10.0.0.0/8,*"] {
            assert!(Addresses::networks(list).is_err(), "{list:?}");
        }
        assert!(Addresses::networks("10.0.0.0/8,2001:db8::1").is_ok());
    }
}
