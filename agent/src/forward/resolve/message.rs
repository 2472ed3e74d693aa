//! Questions to a name server, and its answers (RFC 1035, section 4). Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::hosts::MAX_ADDRESSES;

/// Bytes of a name and of its parts (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
const HEADER: usize = 12;
const INTERNET: u16 = 1;

/// The family of the addresses that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// The type of its records (RFC 1035, section 3.2.2; RFC 3596).
    fn record(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }
}

/// A question, ready to be sent.
#[derive(Debug)]
pub(super) struct Query {
    family: Family,
    bytes: Vec<u8>,
}

/// What a server answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// None if there is no such name, or it has none of this family.
    Addresses(Vec<IpAddr>),
    /// All of it fits TCP alone.
    Truncated,
    Failed,
}

impl Query {
    /// With an id that is not to be guessed by whoever cannot see it. `None` if no name server knows such a
    /// name.
    pub(super) fn new(id: [u8; 2], name: &str, family: Family) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(known) {
            return None;
        }
        let [high, low] = id;
        // Recursion is desired; one question.
        let mut bytes = vec![high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            let length = Some(label.len()).filter(|length| (1..=MAX_LABEL).contains(length))?;
            bytes.push(u8::try_from(length).ok()?);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend(family.record().to_be_bytes());
        bytes.extend(INTERNET.to_be_bytes());
        Some(Self { family, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What these bytes say, if they answer this question.
    pub(super) fn answer(&self, bytes: &[u8]) -> Option<Reply> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let question = self.bytes.get(HEADER..)?;
        let (asked, mut rest) = rest.split_at_checked(question.len())?;
        let [id @ .., high, low, q1, q0, a1, a0, _, _, _, _] = header;
        let is_answer = high & 0xf8 == 0x80 && (*q1, *q0) == (0, 1);
        if self.bytes.get(..2)? != id || !is_answer || !asked.eq_ignore_ascii_case(question) {
            return None;
        }
        if high & 2 != 0 {
            return Some(Reply::Truncated);
        }
        match low & 0xf {
            0 => {}
            // There is no such name.
            3 => return Some(Reply::Addresses(Vec::new())),
            _ => return Some(Reply::Failed),
        }
        let mut found = Vec::new();
        for _ in 0..u16::from_be_bytes([*a1, *a0]) {
            let Some((record, data, next)) = record(rest) else {
                return Some(Reply::Failed);
            };
            // Other records say which other name the addresses are of.
            if record == self.family.record() && found.len() < MAX_ADDRESSES {
                found.extend(address(data));
            }
            rest = next;
        }
        Some(Reply::Addresses(found))
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(data) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(data).ok()?;
    Some(IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
}

/// The type and data of a record of the internet's class, and what follows it. Of another class the type
/// is 0.
fn record(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let rest = after_name(bytes)?;
    let (fixed, rest) = rest.split_first_chunk::<10>()?;
    let [t1, t0, c1, c0, _, _, _, _, l1, l0] = *fixed;
    let length = usize::from(u16::from_be_bytes([l1, l0]));
    let (data, rest) = rest.split_at_checked(length)?;
    let record = match u16::from_be_bytes([c1, c0]) {
        INTERNET => u16::from_be_bytes([t1, t0]),
        _ => 0,
    };
    Some((record, data, rest))
}

/// What follows a name. Where the name goes on elsewhere (section 4.1.4) is not looked at.
fn after_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            0xc0.. => return rest.get(1..),
            _ => bytes = rest.get(usize::from(length)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(query: &Query, flags: [u8; 2], count: u8, records: &[u8]) -> Vec<u8> {
        let mut bytes = query.bytes().to_vec();
        bytes.splice(2..4, flags);
        bytes.splice(6..8, [0, count]);
        bytes.extend(records);
        bytes
    }

    const CNAME: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12];
    const A: &[u8] = &[1, b'x', 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7];

    #[test]
    fn an_answer_has_addresses() {
        let query = Query::new([7, 9], "db.prod.svc", Family::V4).unwrap();
        assert_eq!(query.bytes()[12..], *b"\x02db\x04prod\x03svc\0\0\x01\0\x01");
        let check = |bytes: Vec<u8>, expect: Option<Reply>| {
            assert_eq!(query.answer(&bytes), expect, "{bytes:?}");
        };
        let found = Reply::Addresses(vec!["10.0.0.7".parse().unwrap()]);
        let both = [CNAME, A].concat();
        check(reply(&query, [0x81, 0x80], 2, &both), Some(found));
        let none = || Some(Reply::Addresses(Vec::new()));
        check(reply(&query, [0x81, 0x80], 0, &[]), none());
        check(reply(&query, [0x81, 0x83], 0, &[]), none());
        check(reply(&query, [0x81, 0x82], 0, &[]), Some(Reply::Failed));
        check(reply(&query, [0x83, 0x80], 0, &[]), Some(Reply::Truncated));
        // Cut short.
        check(reply(&query, [0x81, 0x80], 2, A), Some(Reply::Failed));
        check(reply(&query, [0x81, 0x80], 1, &A[..9]), Some(Reply::Failed));
        // A question, and another's answer.
        check(reply(&query, [0x01, 0x00], 1, A), None);
        let other = Query::new([7, 9], "db.prod.svd", Family::V4).unwrap();
        let mut theirs = reply(&other, [0x81, 0x80], 1, A);
        theirs.splice(..2, query.bytes()[..2].iter().copied());
        check(theirs, None);
        check(b"\0".to_vec(), None);
        let v6 = Query::new([7, 9], "db", Family::V6).unwrap();
        let data = reply(&v6, [0x81, 0x80], 1, A);
        assert_eq!(v6.answer(&data), none(), "of the other family");
    }

    #[test]
    fn only_names_of_hosts_are_asked_for() {
        for name in [
            "",
            ".",
            "a..b",
            "a b",
            "é",
            &"a".repeat(64),
            &"a.".repeat(127),
        ] {
            assert!(Query::new([7, 9], name, Family::V4).is_none(), "{name}");
        }
        assert!(Query::new([7, 9], "_grpc.a-b.c", Family::V6).is_some());
    }
}
