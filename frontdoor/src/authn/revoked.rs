//! Revoked keys, and certificates revoked by serial number or key id. The file is a list as
//! ssh-keygen(1) reads it (KEY REVOCATION LISTS), or has public keys alone, as sshd's RevokedKeys.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use podgate_process::reload::Reloaded;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Certificate, HashAlg, PublicKey};

/// Why a revocation list cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: it is a KRL; give the list that ssh-keygen -k made it from")]
    Binary { path: PathBuf },
    #[error("{path}: line {number}: {reason}")]
    Line {
        path: PathBuf,
        number: usize,
        reason: LineError,
    },
}

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

#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    keys: HashSet<Fingerprint>,
    serials: Vec<RangeInclusive<u64>>,
    ids: HashSet<String>,
}

/// The revocation list, followed as its file changes.
#[derive(Debug)]
pub(crate) struct Revoked(Reloaded<List, Error>);

impl Revoked {
    /// Reads it for the first time.
    pub(crate) fn load(path: PathBuf) -> Result<Self, Error> {
        Reloaded::load(vec![path.clone()], move || read(&path)).map(Self)
    }

    pub(super) async fn refresh(&self) {
        self.0.refresh().await;
    }

    /// Whether the file cannot be read now, so that an older list is in force.
    pub(super) fn is_stale(&self) -> bool {
        self.0.is_stale()
    }

    /// Whether this key is revoked.
    pub(crate) fn key(&self, key: &KeyData) -> bool {
        self.0.last().has(key)
    }

    /// Whether this certificate is revoked: by its serial number, its key id, its key or its CA's key.
    pub(crate) fn certificate(&self, certificate: &Certificate) -> bool {
        let list = self.0.last();
        let serial = certificate.serial();
        list.serials.iter().any(|range| range.contains(&serial))
            || list.ids.contains(certificate.key_id())
            || list.has(certificate.public_key())
            || list.has(certificate.signature_key())
    }
}

impl List {
    fn has(&self, key: &KeyData) -> bool {
        !self.keys.is_empty() && self.keys.contains(&key.fingerprint(HashAlg::Sha256))
    }

    fn parse(text: &str) -> Result<Self, (usize, LineError)> {
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
            "serial" => self.serials.push(serials(value).ok_or(LineError::Serial)?),
            "id" if value.is_empty() => return Err(LineError::Id),
            "id" => {
                self.ids.insert(value.to_owned());
            }
            // They differ in what a KRL holds of the key.
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

fn read(path: &Path) -> Result<List, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let binary = || Error::Binary {
        path: path.to_owned(),
    };
    // A binary KRL begins with eight bytes of magic; a text has no NUL.
    if bytes.starts_with(b"SSHKRL\n\0") {
        return Err(binary());
    }
    let text = String::from_utf8(bytes).map_err(|_| binary())?;
    List::parse(&text).map_err(|(number, reason)| Error::Line {
        path: path.to_owned(),
        number,
        reason,
    })
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
        assert_eq!(list.serials, [7..=7, 16..=17, 100..=200]);
        assert!(list.ids.contains("ada at home: 1"));
        for line in [
            ADA.to_owned(),
            format!("{ADA} a comment: here"),
            format!("key: {ADA}"),
            format!("sha1: {ADA}"),
            format!("sha256:{ADA} comment"),
            format!("hash: {fingerprint}"),
        ] {
            let list = List::parse(&line).unwrap();
            assert!(list.has(key.key_data()), "{line:?}");
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
