//! A request at the node helper's socket: reading it never panics, a container's id is 64 hex digits, and
//! what was read is written as what reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: it needs no more.
#[path = "../../../agent/helper/src/protocol.rs"]
#[allow(dead_code, reason = "answers are made elsewhere")]
mod protocol;
use protocol::{Answer, Request};

fuzz_target!(|line: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(line) {
        if let Request::Count { container } = &request {
            let id: &str = container.as_ref();
            assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        let again = serde_json::to_vec(&request).expect("a request is JSON");
        assert_eq!(
            serde_json::from_slice::<Request>(&again).ok(),
            Some(request)
        );
    }
    if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
        let again = serde_json::to_vec(&answer).expect("an answer is JSON");
        assert_eq!(serde_json::from_slice::<Answer>(&again).ok(), Some(answer));
    }
});
