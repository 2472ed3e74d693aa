//! Pure: what is revoked, and how it is read from a text: as ssh-keygen(1) reads it (KEY REVOCATION
//! LISTS), or as plain public keys, as in sshd's RevokedKeys.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use russh::keys::ssh_key::Fingerprint;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

/// Why a line is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum LineError {
    #[error("it is not a key and does not begin with serial:, id:, key:, sha1:, sha256: or hash:")]
    Unknown,
    #[error("it is not a serial number or a range of serial numbers (1 or higher)")]
    Serial,
    #[error("it is not a public key")]
    Key,
    #[error("it is not a SHA256 fingerprint")]
    Fingerprint,
    #[error("it contains no key id")]
    Id,
}

/// All that is revoked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    keys: HashSet<Fingerprint>,
    /// Keys of which only this hash is known. A text gives the key itself.
    sha1: HashSet<[u8; 20]>,
    /// Certificates of any CA.
    any: Revocations,
    /// Certificates of the CA with this key.
    of: HashMap<Fingerprint, Revocations>,
}

/// Certificates that are revoked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Revocations {
    pub(super) serials: Vec<RangeInclusive<u64>>,
    pub(super) ids: HashSet<String>,
}

impl Revocations {
    /// Whether this certificate is among them. 0 is no serial number: certificates without one have 0.
    fn has(&self, certificate: &Certificate) -> bool {
        let serial = certificate.serial();
        serial != 0 && self.serials.iter().any(|range| range.contains(&serial))
            || self.ids.contains(certificate.key_id())
    }
}

impl List {
    /// Whether this key is revoked.
    pub(super) fn key(&self, key: &KeyData) -> bool {
        let fingerprint = || key.fingerprint(HashAlg::Sha256);
        !self.keys.is_empty() && self.keys.contains(&fingerprint())
            || !self.sha1.is_empty() && sha1(key).is_none_or(|hash| self.sha1.contains(&hash))
    }

    /// Whether this certificate is revoked: by its serial number, its key id, its key or its CA's key.
    pub(super) fn certificate(&self, certificate: &Certificate) -> bool {
        let authority = certificate.signature_key();
        let own = || self.of.get(&authority.fingerprint(HashAlg::Sha256));
        self.any.has(certificate)
            || !self.of.is_empty() && own().is_some_and(|of| of.has(certificate))
            || self.key(certificate.public_key())
            || self.key(authority)
    }

    pub(super) fn add_key(&mut self, fingerprint: Fingerprint) {
        self.keys.insert(fingerprint);
    }

    pub(super) fn add_sha1(&mut self, hash: [u8; 20]) {
        self.sha1.insert(hash);
    }

    /// What is revoked of this CA, or of any.
    pub(super) fn certificates_of(&mut self, authority: Option<Fingerprint>) -> &mut Revocations {
        match authority {
            None => &mut self.any,
            Some(authority) => self.of.entry(authority).or_default(),
        }
    }

    /// Reads a text.
    pub(super) fn parse(text: &str) -> Result<Self, (usize, LineError)> {
        let mut list = Self::default();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if !line.is_empty() && !line.starts_with('#') {
                list.add(line).map_err(|reason| (number, reason))?;
            }
        }
        Ok(list)
    }

    fn add(&mut self, line: &str) -> Result<(), LineError> {
        // A line that is a bare key has no colon before its first space.
        let word = line.split([' ', '\t']).next().unwrap_or_default();
        let Some((kind, _)) = word.split_once(':') else {
            self.keys.insert(key(line).map_err(|_| LineError::Unknown)?);
            return Ok(());
        };
        let value = line.get(kind.len() + 1..).unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "serial" => {
                let serials = serials(value).ok_or(LineError::Serial)?;
                self.any.serials.push(serials);
            }
            "id" if value.is_empty() => return Err(LineError::Id),
            "id" => {
                self.any.ids.insert(value.to_owned());
            }
            // In a KRL these differ, but not here.
            "key" | "sha1" | "sha256" => {
                self.keys.insert(key(value)?);
            }
            "hash" => {
                let fingerprint = value.parse().ok().filter(|f: &Fingerprint| f.is_sha256());
                self.keys.insert(fingerprint.ok_or(LineError::Fingerprint)?);
            }
            _ => return Err(LineError::Unknown),
        }
        Ok(())
    }
}

/// The SHA-1 hash of a key as it is on the wire.
fn sha1(key: &KeyData) -> Option<[u8; 20]> {
    let bytes = PublicKey::from(key.clone()).to_bytes().ok()?;
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    hash.as_ref().try_into().ok()
}

/// A key, or the one that a certificate is for.
fn key(line: &str) -> Result<Fingerprint, LineError> {
    let certificate = || {
        let certificate: Result<Certificate, _> = line.parse();
        certificate.map(|certificate| certificate.public_key().fingerprint(HashAlg::Sha256))
    };
    let key: Result<PublicKey, _> = line.parse();
    key.map(|key| key.fingerprint(HashAlg::Sha256))
        .or_else(|_| certificate())
        .map_err(|_| LineError::Key)
}

/// `n` or `n-m`.
fn serials(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (serial(first)?, serial(last)?),
        None => (serial(text)?, serial(text)?),
    };
    (first <= last).then_some(first..=last)
}

/// Decimal, hexadecimal or octal, as in C. 0 is no serial number.
fn serial(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u64::from_str_radix(digits, radix).ok();
    number.filter(|number| plain && *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_list_as_ssh_keygen_reads_it() {
        let key: PublicKey = ADA.parse().unwrap();
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        let text = "# gone\n\nserial: 7\nserial: 0x10-021\nSerial:100-200\nid: ada at home: 1\n";
        let list = List::parse(text).unwrap();
        assert_eq!(list.any.serials, [7..=7, 16..=17, 100..=200]);
        assert!(list.any.ids.contains("ada at home: 1"));
        for line in [
            ADA.to_owned(),
            format!("{ADA} a comment: here"),
            format!("key: {ADA}"),
            format!("sha1: {ADA}"),
            format!("sha256:{ADA} comment"),
            format!("hash: {fingerprint}"),
        ] {
            let list = List::parse(&line).unwrap();
            assert!(list.key(key.key_data()), "{line:?}");
            assert_eq!(list.keys.len(), 1);
        }
        assert_eq!(List::parse("").unwrap(), List::default());
    }

    #[test]
    fn a_line_that_says_nothing_is_named() {
        for (line, expect) in [
            ("serial: 0", LineError::Serial),
            ("serial: 2-1", LineError::Serial),
            ("serial: +1", LineError::Serial),
            ("serial: 1-", LineError::Serial),
            ("serial: 09", LineError::Serial),
            ("serial: 18446744073709551616", LineError::Serial),
            ("serial:", LineError::Serial),
            ("id:", LineError::Id),
            ("key: ssh-ed25519 AAAA", LineError::Key),
            ("hash: SHA256:AAAA", LineError::Fingerprint),
            ("user: ada", LineError::Unknown),
            ("ada", LineError::Unknown),
        ] {
            let text = format!("# one\n{line}\n");
            assert_eq!(List::parse(&text), Err((2, expect)), "{line:?}");
        }
    }
}
