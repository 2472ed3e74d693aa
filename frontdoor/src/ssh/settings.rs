//! russh's settings: what OpenSSH offers today without SHA-1, CBC or compression, fastest first.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, Certificate, EcdsaCurve, HashAlg, PrivateKey};
use russh::server::Config;
use russh::{MethodKind, MethodSet, Preferred, SshId, cipher, compression, kex, mac};

use crate::config::Limits;

/// The published russh has none of these. The patched one (`frontdoor/russh`) has inherent ones, which
/// take precedence over this trait's.
#[allow(
    dead_code,
    reason = "what is used of it depends on the russh that is built with"
)]
trait AsPublished {
    const WINDOW_BY_CONSUMPTION: bool = false;

    fn announce_host_keys(&mut self) {}
}

impl AsPublished for Config {}

/// Whether a slow reader of one channel leaves the other channels of its connection alone.
pub(crate) const WINDOW_BY_CONSUMPTION: bool = Config::WINDOW_BY_CONSUMPTION;

// build.rs asks for a patched russh, and has set `stock_russh` if none is wanted.
const _: () = assert!(
    WINDOW_BY_CONSUMPTION || cfg!(stock_russh),
    "The russh of .cargo/config.toml lacks window-by-consumption.patch, without which one slow reader stalls its \
     whole connection. Run frontdoor/russh/lay-out."
);

/// Settings for connections that show the first of `keys` of a kind, or its certificate, and announce
/// the others.
pub(super) fn settings(
    keys: Vec<PrivateKey>,
    certificates: Vec<Certificate>,
    limits: &Limits,
) -> Config {
    let mut config = Config {
        // OpenSSH's client says that its output is no longer read only to servers whose software begins with
        // OpenSSH (compat.c). PuTTY, libssh and ssh2 look at the number behind OpenSSH_ to find old versions'
        // bugs: there is none.
        server_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-OpenSSH_Podgate_",
            env!("CARGO_PKG_VERSION")
        ))),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // Looking up a key takes the same time whether it is known or not.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        certificates,
        window_size: limits.window,
        maximum_packet_size: limits.max_packet,
        // Few, so that a shell's echo does not wait behind a bulk channel's output.
        event_buffer_size: 4,
        preferred: preferred(),
        // russh counts the first `none`, which sshd does not.
        max_auth_attempts: limits.auth_tries + 1,
        inactivity_timeout: None,
        keepalive_interval: Some(limits.keepalive),
        keepalive_max: limits.keepalives,
        nodelay: true,
        ..Config::default()
    };
    config.announce_host_keys();
    config
}

fn preferred() -> Preferred {
    const NISTP: fn(EcdsaCurve) -> Algorithm = |curve| Algorithm::Ecdsa { curve };
    Preferred {
        // No exchange over a finite field: group 16 costs 0.1 s of a core, and costs the client that
        // asks for it nothing.
        kex: Cow::Borrowed(&[
            kex::MLKEM768X25519_SHA256,
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::ECDH_SHA2_NISTP256,
            kex::ECDH_SHA2_NISTP384,
            kex::ECDH_SHA2_NISTP521,
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        key: Cow::Owned(vec![
            Algorithm::Ed25519,
            NISTP(EcdsaCurve::NistP256),
            NISTP(EcdsaCurve::NistP384),
            NISTP(EcdsaCurve::NistP521),
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha512),
            },
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha256),
            },
        ]),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_CTR,
            cipher::AES_192_CTR,
            cipher::AES_128_CTR,
        ]),
        mac: Cow::Borrowed(&[
            mac::HMAC_SHA256_ETM,
            mac::HMAC_SHA512_ETM,
            mac::HMAC_SHA256,
            mac::HMAC_SHA512,
        ]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_build_has_the_patched_russh() {
        let patched = super::WINDOW_BY_CONSUMPTION;
        assert!(
            patched,
            "russh is as published; run frontdoor/russh/lay-out"
        );
    }
}
