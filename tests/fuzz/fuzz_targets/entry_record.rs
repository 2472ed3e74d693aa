//! What the node entry's front tells its starter, and the starter its front: reading it never panics, and what is read
//! is written as the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: it is the program's own.
#[allow(dead_code, reason = "both directions are fuzzed as bytes")]
#[path = "../../../agent/entry/src/record.rs"]
mod record;
use record::{Notice, Record};

fuzz_target!(|input: &[u8]| {
    if let Ok(record) = serde_json::from_slice::<Record>(input) {
        let again = serde_json::to_vec(&record).expect("it is written");
        assert_eq!(serde_json::from_slice::<Record>(&again).ok(), Some(record));
    }
    if let Ok(notice) = serde_json::from_slice::<Notice>(input) {
        let again = serde_json::to_vec(&notice).expect("it is written");
        assert_eq!(serde_json::from_slice::<Notice>(&again).ok(), Some(notice));
    }
});
