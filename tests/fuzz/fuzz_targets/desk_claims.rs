//! The extension of a user's certificate that the desk has made: reading one never panics, and what was
//! read is written as what reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure files themselves: building their crate would take minutes.
#[path = "../../../frontdoor/identity/src/desk_claims.rs"]
#[allow(dead_code, reason = "principals are not fuzzed")]
mod desk_claims;
#[path = "../../../frontdoor/identity/src/identity.rs"]
#[allow(dead_code, reason = "other sources are not fuzzed")]
mod identity;
use desk_claims::DeskClaims;
use identity::Identity;

fuzz_target!(|text: &str| {
    if let Ok((extra, source)) = DeskClaims::read(text) {
        let identity = Identity {
            user: "ada".to_owned(),
            groups: Vec::new(),
            extra,
            source,
        };
        let again = DeskClaims::of(&identity).to_string();
        let read = DeskClaims::read(&again).expect("what was read can be written");
        assert_eq!(read, (identity.extra, identity.source));
    }
});
