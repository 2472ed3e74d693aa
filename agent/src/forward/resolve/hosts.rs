//! hosts(5).

use std::net::IpAddr;

/// Addresses of one name, at the most.
pub(super) const MAX_ADDRESSES: usize = 16;

/// The addresses of a name, in the file's order.
pub(super) fn addresses(file: &[u8], name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let of_line = |line: &[u8]| {
        let line = line.split(|&byte| byte == b'#').next()?;
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let address = std::str::from_utf8(words.next()?).ok()?;
        let address: IpAddr = address.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
            .then(|| address.to_canonical())
    };
    file.split(|&byte| byte == b'\n')
        .filter_map(of_line)
        .take(MAX_ADDRESSES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_have_the_addresses_of_their_lines() {
        let file = b"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n\
            10.0.0.7 web-0.svc web-0 # mine\n\xff x\nfe80::1%eth0 x\n::ffff:10.0.0.8 Mapped\nalone\n10.0.0.9";
        let check = |name: &str, expect: &[&str]| {
            let expect: Vec<IpAddr> = expect.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(addresses(file, name), expect, "{name}");
        };
        check("localhost", &["127.0.0.1", "::1"]);
        check("LocalHost.", &["127.0.0.1", "::1"]);
        check("web-0", &["10.0.0.7"]);
        check("mapped", &["10.0.0.8"]);
        for none in ["mine", "x", "alone", "", "10.0.0.9"] {
            check(none, &[]);
        }
        let many = b"10.0.0.1 a\n".repeat(100);
        assert_eq!(addresses(&many, "a").len(), MAX_ADDRESSES);
    }
}
