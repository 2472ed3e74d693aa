//! KRLs made by ssh-keygen, and files that are not KRLs.

use russh::keys::Certificate;

use super::*;

// Made by OpenSSH 9.2's ssh-keygen -k.
const OF_CA: &[u8] = include_bytes!("of-ca.krl");
const ANY: &[u8] = include_bytes!("any.krl");
const KEYS: &[u8] = include_bytes!("keys.krl");
const CA2: &[u8] = include_bytes!("ca2.krl");
/// Certificates of CA `ca` with serial numbers 7, 8, 103, 104 and 0, and of `ca2` with 7, 0 and 9.
/// Those with number 0 have the key id `eve`, the last has `bob`, and all others have `ada`.
const CERTIFICATES: &str = include_str!("certificates");

/// Which of the certificates are revoked.
fn revoked(krl: &[u8]) -> Vec<bool> {
    let list = parse(krl).unwrap();
    let certificates = CERTIFICATES.lines().map(|line| line.parse().unwrap());
    certificates
        .map(|certificate: Certificate| list.certificate(&certificate))
        .collect()
}

#[test]
fn certificates_are_revoked_by_number_id_and_ca() {
    let (yes, no) = (true, false);
    // It revokes ranges 5-7 and 1000-5000, every third number from 100 to 400, the last number there
    // is, and id eve.
    assert_eq!(revoked(OF_CA), [yes, no, no, yes, no, yes, no, no]);
    assert_eq!(revoked(ANY), [no, no, no, no, no, no, no, yes]);
    assert_eq!(revoked(CA2), [no, yes, no, no, no, no, yes, yes]);
}

#[test]
fn keys_are_revoked_as_they_are_and_by_both_hashes() {
    let list = parse(KEYS).unwrap();
    for (key, expect) in [
        (include_str!("a.pub"), true),
        (include_str!("b.pub"), false),
        (include_str!("c.pub"), true),
        (include_str!("d.pub"), true),
    ] {
        let key: PublicKey = key.parse().unwrap();
        assert_eq!(list.key(key.key_data()), expect, "{key:?}");
    }
}

#[test]
fn what_cannot_be_understood_is_an_error() {
    assert!(is_krl(KEYS) && !is_krl(b"ssh-ed25519 AAAA"));
    for krl in [OF_CA, ANY, KEYS, CA2] {
        for length in MAGIC.len()..krl.len() {
            // A prefix is a whole KRL after each of its sections, and nowhere else.
            if let Err(error) = parse(&krl[..length]) {
                assert_eq!(error, Error::Short, "{length}");
            }
        }
    }
    let with = |section: &[u8]| parse(&[&KEYS[..44], section].concat());
    assert_eq!(with(&[]), Ok(List::default()));
    let mut other = KEYS.to_vec();
    other[11] = 2;
    assert_eq!(parse(&other), Err(Error::Version(2)));
    assert_eq!(with(&[9, 0, 0, 0, 0]), Err(Error::Section(9)));
    assert_eq!(with(&[3, 0, 0, 0, 5, 0, 0, 0, 1, 7]), Err(Error::Hash));
    let extension = |critical| [255, 0, 0, 0, 10, 0, 0, 0, 1, b'x', critical, 0, 0, 0, 0];
    assert_eq!(with(&extension(0)), Ok(List::default()));
    assert_eq!(with(&extension(1)), Err(Error::Extension("x".into())));
    // Serial numbers 1 to 0, and a bitmap beyond the last number.
    let section = |kind: u8, part: &[u8]| {
        let length = |bytes: usize| (bytes as u32).to_be_bytes();
        let parts = [&[kind][..], &length(part.len()), part].concat();
        let section = [&[0; 8][..], &parts].concat();
        with(&[&[1][..], &length(section.len()), &section].concat())
    };
    let range = [1_u64.to_be_bytes(), 0_u64.to_be_bytes()].concat();
    assert_eq!(section(0x21, &range), Err(Error::Serials));
    let bits = |byte| [&u64::MAX.to_be_bytes()[..], &[0, 0, 0, 1, byte]].concat();
    assert_eq!(section(0x22, &bits(2)), Err(Error::Serials));
    assert!(section(0x22, &bits(1)).is_ok());
}

#[test]
fn replays_the_fuzz_corpus() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/krl");
    let (mut whole, mut broken) = (0, 0);
    for file in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        match is_krl(&bytes).then(|| parse(&bytes)) {
            Some(Ok(_)) => whole += 1,
            Some(Err(_)) => broken += 1,
            // A text, or sections without the head of a KRL.
            None => drop(parse(&[&KEYS[..44], &bytes].concat())),
        }
    }
    assert_eq!((whole, broken), (4, 2));
}
