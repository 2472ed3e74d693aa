//! The claims of a token that nobody has verified yet: reading them never panics, they are an object's and
//! those that are written there, and a token that is for one audience alone is for no other.
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

// The pure file itself: building its crate would take minutes.
#[path = "../../../frontdoor/identity/src/kubernetes/token_claims.rs"]
#[allow(dead_code, unreachable_pub, reason = "audiences of configurations are not fuzzed")]
mod token_claims;
use token_claims::{Claims, MAX_BYTES};

fn check(claims: &Claims) {
    for audience in ["podgate", ""] {
        if claims.aud.is_only(audience) {
            assert!(claims.aud.has(audience) && !claims.aud.has("other"));
        }
    }
    let _ = claims.expires();
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(claims) = Claims::read(text)
    {
        assert!(text.len() <= MAX_BYTES);
        check(&claims);
    }
    // The same of the claims alone, whose coding is hard to guess.
    let token = format!("e30.{}.", URL_SAFE_NO_PAD.encode(bytes));
    let Ok(claims) = Claims::read(&token) else {
        return;
    };
    check(&claims);
    assert!(bytes.trim_ascii_start().starts_with(b"{"));
    // Claims of no interest are skipped, so that they may be what no `Value` can hold.
    if let Ok(written) = serde_json::from_slice::<Map<String, Value>>(bytes) {
        let issuer = written.get("iss").and_then(Value::as_str);
        assert_eq!(claims.iss, issuer.unwrap_or_default());
    }
});
