//! The kubelet's status at the end of an exec: reading it never panics, and only a JSON object whose
//! `status` is exactly `Success` becomes exit status 0.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

// The pure file itself: building its crate would take minutes.
#[path = "../../../agent/src/exit.rs"]
mod exit;
#[path = "../../../agent/src/exec/status.rs"]
mod status;
use exit::Exit;
use status::parse;

fuzz_target!(|input: &[u8]| {
    if let Ok(Exit::Code(0)) = parse(input) {
        assert!(says_success(input), "{}", String::from_utf8_lossy(input));
    }
});

/// The oracle. Not a `serde_json::Value`, which refuses some input in fields that nobody reads: numbers
/// that are too large, nesting that is too deep.
fn says_success(json: &[u8]) -> bool {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let status = reader.deserialize_map(Status);
    status.is_ok_and(|status| status == "Success") && reader.end().is_ok()
}

struct Status;

impl<'de> Visitor<'de> for Status {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one status")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut status = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != "status" {
                map.next_value::<IgnoredAny>()?;
            } else if status.replace(map.next_value::<String>()?).is_some() {
                return Err(A::Error::duplicate_field("status"));
            }
        }
        status.ok_or_else(|| A::Error::missing_field("status"))
    }
}
