//! Pure: a binary KRL as `ssh-keygen -k` makes it (OpenSSH's PROTOCOL.krl). What cannot be understood
//! is an error, as in OpenSSH: it might revoke something.

use std::ops::RangeInclusive;

use russh::keys::ssh_key::Fingerprint;
use russh::keys::{HashAlg, PublicKey};

use super::list::{List, Revocations};

/// The first bytes of every KRL.
const MAGIC: &[u8] = b"SSHKRL\n\0";
const VERSION: u32 = 1;
/// Bits of a bitmap, at most (BITMAP_MAX of OpenSSH).
const MAX_BITS: u64 = 1 << 24;

/// Why a KRL cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("it is incomplete")]
    Short,
    #[error("its format has version {0}")]
    Version(u32),
    #[error("it has a section of the unknown kind {0}")]
    Section(u8),
    #[error("it has the unknown critical extension {0:?}")]
    Extension(String),
    #[error("a hash has the wrong length")]
    Hash,
    #[error("a range or a bitmap of serial numbers is invalid")]
    Serials,
    #[error("a CA's key is invalid")]
    Authority,
}

/// Whether a file is a KRL.
pub(super) fn is_krl(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads a whole KRL.
pub(super) fn parse(bytes: &[u8]) -> Result<List, Error> {
    let mut rest = Reader(bytes);
    rest.take(MAGIC.len())?;
    match rest.u32()? {
        VERSION => {}
        other => return Err(Error::Version(other)),
    }
    // Its number, its date, its flags, a reserved string and a comment.
    for _ in 0..3 {
        rest.u64()?;
    }
    for _ in 0..2 {
        rest.string()?;
    }
    let mut list = List::default();
    while let Some(kind) = rest.kind() {
        let mut section = Reader(rest.string()?);
        match kind {
            1 => certificates(section, &mut list)?,
            2 => {
                while !section.is_empty() {
                    // A key that is unknown here lets nobody in anyhow.
                    if let Ok(key) = PublicKey::from_bytes(section.string()?) {
                        list.add_key(key.fingerprint(HashAlg::Sha256));
                    }
                }
            }
            3 => {
                while !section.is_empty() {
                    list.add_sha1(section.hash()?);
                }
            }
            // A signature, which has a second string. OpenSSH does not check it any more.
            4 => drop(rest.string()?),
            5 => {
                while !section.is_empty() {
                    list.add_key(Fingerprint::Sha256(section.hash()?));
                }
            }
            255 => extension(section)?,
            other => return Err(Error::Section(other)),
        }
    }
    Ok(list)
}

/// A section about certificates of one CA, or of any.
fn certificates(mut section: Reader<'_>, list: &mut List) -> Result<(), Error> {
    let authority = match section.string()? {
        [] => None,
        key => Some(PublicKey::from_bytes(key).map_err(|_| Error::Authority)?),
    };
    let authority = authority.map(|key| key.fingerprint(HashAlg::Sha256));
    // Reserved.
    section.string()?;
    let revoked = list.certificates_of(authority);
    while let Some(kind) = section.kind() {
        let mut part = Reader(section.string()?);
        match kind {
            0x20 => {
                while !part.is_empty() {
                    let serial = part.u64()?;
                    add(revoked, serial..=serial);
                }
            }
            0x21 => {
                let (first, last) = (part.u64()?, part.u64()?);
                if first > last || !part.is_empty() {
                    return Err(Error::Serials);
                }
                add(revoked, first..=last);
            }
            0x22 => bitmap(part, revoked)?,
            0x23 => {
                while !part.is_empty() {
                    // Certificates whose key id is no text are not accepted anyhow.
                    if let Ok(id) = str::from_utf8(part.string()?) {
                        revoked.ids.insert(id.to_owned());
                    }
                }
            }
            0x39 => extension(part)?,
            other => return Err(Error::Section(other)),
        }
    }
    Ok(())
}

/// The first serial number, and a large number (RFC 4251 §5, mpint) with a bit for it and each next
/// one.
fn bitmap(mut part: Reader<'_>, revoked: &mut Revocations) -> Result<(), Error> {
    let (first, bytes) = (part.u64()?, part.string()?);
    let bits = bytes.len() as u64 * 8;
    if bits > MAX_BITS + 8 || !part.is_empty() {
        return Err(Error::Serials);
    }
    for (byte, begin) in bytes.iter().rev().zip((0_u64..).step_by(8)) {
        for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
            let serial = first.checked_add(begin + bit).ok_or(Error::Serials)?;
            add(revoked, serial..=serial);
        }
    }
    Ok(())
}

/// Adds serial numbers; those that follow the last ones extend their range.
fn add(revoked: &mut Revocations, serials: RangeInclusive<u64>) {
    match revoked.serials.last_mut() {
        Some(last) if last.end().checked_add(1) == Some(*serials.start()) => {
            *last = *last.start()..=*serials.end();
        }
        _ => revoked.serials.push(serials),
    }
}

/// An extension, none of which is known.
fn extension(mut section: Reader<'_>) -> Result<(), Error> {
    let name = section.string()?;
    let critical = section.take(1)? != [0];
    section.string()?;
    if critical {
        let name = String::from_utf8_lossy(name).into_owned();
        return Err(Error::Extension(name));
    }
    Ok(())
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The kind of the next section, if there is one.
    fn kind(&mut self) -> Option<u8> {
        self.take(1).ok()?.first().copied()
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let bytes = self.take(4)?.try_into().map_err(|_| Error::Short)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        let bytes = self.take(8)?.try_into().map_err(|_| Error::Short)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Error::Short)?)
    }

    fn hash<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.string()?.try_into().map_err(|_| Error::Hash)
    }
}

#[cfg(test)]
mod tests;
