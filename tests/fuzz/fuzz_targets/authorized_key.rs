//! A line of authorized_keys: reading it never panics, its options change nothing about which key it is, and
//! a further `restrict` leaves nothing of what it allows but the command.
#![no_main]

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;

// The pure files themselves: building their crates would take minutes.
extern crate self as podgate_identity;
extern crate self as podgate_proto;

#[path = "../../../frontdoor/identity/src/addresses.rs"]
#[allow(dead_code, reason = "lists of networks are another target's")]
mod addresses;
#[path = "../../../frontdoor/identity/src/identity.rs"]
#[allow(dead_code, reason = "names of sources are for logs")]
mod identity;
#[path = "../../../proto/src/network.rs"]
#[allow(unreachable_pub, reason = "the crate's own networks")]
pub mod network;
#[path = "../../../frontdoor/identity/src/strength.rs"]
#[allow(dead_code, reason = "signatures are for logins")]
mod strength;
#[path = "../../../frontdoor/identity/src/wildcard.rs"]
mod wildcard;
#[path = "../../../frontdoor/src/authn"]
#[allow(dead_code, reason = "where a login may go is not fuzzed here")]
mod authn {
    pub(crate) mod options;
    pub(crate) mod restrictions;
    pub(crate) mod keys {
        pub(crate) mod authorized_key;

        use std::net::IpAddr;
        use std::sync::Arc;
        use std::time::SystemTime;

        use super::restrictions::Restrictions;
        use crate::identity::Identity;

        /// The key's fingerprint and what it may do, if the line is a key's.
        pub(crate) fn read(
            line: &str,
            identity: &Arc<Identity>,
            from: IpAddr,
        ) -> Option<(String, Restrictions)> {
            let (key, entry) = authorized_key::parse(line, identity).ok()?;
            // Whether it lets in anybody now is no matter.
            let _ = entry.hold(from, SystemTime::UNIX_EPOCH);
            let fingerprint = key.fingerprint(russh::keys::HashAlg::Sha256);
            Some((fingerprint.to_string(), entry.restrictions()))
        }
    }
}
use authn::keys::read;
use authn::options::part;
pub(crate) use identity::{Identity, Source};

static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    Arc::new(Identity {
        user: "ada".to_owned(),
        groups: vec![],
        extra: Default::default(),
        source: Source::Key,
    })
});

fuzz_target!(|line: &str| {
    let from: IpAddr = [192, 0, 2, 7].into();
    let Some((key, allowed)) = read(line, &IDENTITY, from) else {
        return;
    };
    let line = line.trim();
    let restricted = match line.parse::<russh::keys::PublicKey>() {
        Ok(_) => format!("restrict {line}"),
        Err(_) => {
            let (options, rest) = part(line);
            format!("{options},restrict{rest}")
        }
    };
    let again = read(&restricted, &IDENTITY, from);
    let (same, restricted) = again.expect("restrict may follow whatever is sound");
    assert_eq!(same, key);
    assert!(!restricted.pty && !restricted.port_forwarding && !restricted.agent_forwarding);
    assert_eq!(restricted.command, allowed.command);
    assert_eq!(restricted.expires, allowed.expires);
});
