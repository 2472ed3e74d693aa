//! The claims of an id token that an issuer has signed: making an identity of them never panics, and none
//! has a name or a group that only Kubernetes gives, or without its prefix.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

// The pure files themselves: building their crates would take minutes.
extern crate self as podgate_identity;
extern crate self as podgate_proto;

#[path = "../../../frontdoor/identity/src/identity.rs"]
#[allow(dead_code, unreachable_pub, reason = "other sources are not fuzzed")]
pub mod identity;
#[path = "../../../proto/src/limits.rs"]
#[allow(dead_code, unreachable_pub, reason = "one limit is used")]
pub mod limits;
#[path = "../../../frontdoor/identity/src/names.rs"]
#[allow(dead_code, unreachable_pub, reason = "the crate's own names")]
pub mod names;
#[path = "../../../frontdoor/signer/src/desk"]
mod desk {
    pub(crate) mod oidc {
        mod claims;
        pub(in crate::desk) use claims::Mapping;

        pub(crate) fn identity(
            mapping: (&str, crate::Names),
            claims: &super::super::Map<String, super::super::Value>,
        ) -> Option<crate::Identity> {
            let mapping = Mapping {
                username_claim: mapping.0.to_owned(),
                groups_claim: Some("groups".to_owned()),
                required: super::super::BTreeMap::new(),
                names: mapping.1,
            };
            mapping.identity(claims).ok()
        }
    }
}
pub use identity::{Identity, Source};
pub use names::{Error as NameError, Names};

fuzz_target!(|bytes: &[u8]| {
    let Ok(claims) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    for claim in ["sub", "email"] {
        for prefix in ["", "idp:"] {
            let names = Names {
                user_prefix: prefix.to_owned(),
                group_prefix: prefix.to_owned(),
                trust_system: false,
            };
            let Some(identity) = desk::oidc::identity((claim, names), &claims) else {
                continue;
            };
            assert_ne!(identity.user, prefix);
            assert!(claim != "email" || claims.get("email_verified") != Some(&Value::Bool(false)));
            for name in identity.groups.iter().chain([&identity.user]) {
                assert!(name.starts_with(prefix) && !name.starts_with("system:"));
                assert!(!name.chars().any(char::is_control));
            }
        }
    }
});
