//! What a hardware-backed key (`sk-…`) says with each signature: whether its user touched it, and
//! whether it verified its user, by a PIN or a finger (OpenSSH's PROTOCOL.u2f).

use russh::keys::Algorithm;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::public::KeyData;

use super::options::Required;

/// Bits of the flags: user presence and user verification of CTAP2.
const TOUCHED: u8 = 0x01;
const VERIFIED: u8 = 0x04;
/// The flags and a counter of four bytes end a signature.
const TRAILER: usize = 5;

/// The flags of a signature that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presence(u8);

/// Why a hardware-backed key's signature does not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotPresent {
    #[error("the hardware-backed key was not touched, and its options or certificate demand that")]
    Untouched,
    #[error(
        "the hardware-backed key did not verify its user, and its options or certificate demand that"
    )]
    Unverified,
    #[error("hardware-backed keys need the patched russh")]
    Unknown,
}

impl Presence {
    #[cfg_attr(
        stock_russh,
        allow(dead_code, reason = "the published russh does not show the signature")
    )]
    /// The flags, if the signature is a hardware-backed key's.
    pub(crate) fn of(signature: &Signature) -> Option<Self> {
        if !is_hardware(&signature.algorithm()) {
            return None;
        }
        let bytes = signature.as_bytes();
        let at = bytes.len().checked_sub(TRAILER)?;
        bytes.get(at).copied().map(Self)
    }
}

/// Checks what a key has said. Of keys in software nothing is demanded, as in sshd.
pub(super) fn check(
    key: &KeyData,
    presence: Option<Presence>,
    required: Required,
) -> Result<(), NotPresent> {
    if !is_hardware(&key.algorithm()) {
        return Ok(());
    }
    let Presence(flags) = presence.ok_or(NotPresent::Unknown)?;
    if required.touch && flags & TOUCHED == 0 {
        return Err(NotPresent::Untouched);
    }
    if required.verification && flags & VERIFIED == 0 {
        return Err(NotPresent::Unverified);
    }
    Ok(())
}

fn is_hardware(algorithm: &Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256
    )
}

#[cfg(test)]
mod tests {
    use russh::keys::PublicKey;

    use super::*;

    #[test]
    fn a_key_must_say_what_is_required() {
        let hardware: PublicKey = include_str!("keys/sk.pub").parse().unwrap();
        let software: PublicKey =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti"
                .parse()
                .unwrap();
        let check = |flags: Option<u8>, (touch, verification), expect: Result<(), NotPresent>| {
            let required = Required {
                touch,
                verification,
            };
            let presence = flags.map(Presence);
            let checked = super::check(hardware.key_data(), presence, required);
            assert_eq!(checked, expect, "{flags:?} {required:?}");
            let checked = super::check(software.key_data(), presence, required);
            assert_eq!(checked, Ok(()), "{flags:?} {required:?}");
        };
        check(Some(0), (false, false), Ok(()));
        check(Some(0), (true, false), Err(NotPresent::Untouched));
        check(Some(4), (true, false), Err(NotPresent::Untouched));
        check(Some(1), (true, false), Ok(()));
        check(Some(1), (true, true), Err(NotPresent::Unverified));
        check(Some(4), (false, true), Ok(()));
        check(Some(5), (true, true), Ok(()));
        check(None, (false, false), Err(NotPresent::Unknown));
    }

    #[test]
    fn the_flags_stand_before_the_counter() {
        let algorithm = Algorithm::SkEd25519;
        let mut bytes = vec![0xff; 64];
        bytes.extend([5, 0, 0, 0, 9]);
        let signature = Signature::new(algorithm, bytes).unwrap();
        assert_eq!(Presence::of(&signature), Some(Presence(5)));
        let plain = Signature::new(Algorithm::Ed25519, vec![0xff; 64]).unwrap();
        assert_eq!(Presence::of(&plain), None);
    }

    #[test]
    fn two_demand_what_either_demands() {
        let of = |touch, verification| Required {
            touch,
            verification,
        };
        assert_eq!(of(false, false).and(of(false, true)), of(false, true));
        assert_eq!(of(true, false).and(of(false, true)), of(true, true));
    }
}
