//! Lines of scp's old protocol: reading one never panics, and no name leads out of its folder.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself. It needs nothing else.
#[path = "../../../agent/worker/src/scp/line.rs"]
mod line;
use line::{Line, tell};

fuzz_target!(|bytes: &[u8]| {
    match Line::read(bytes) {
        Some(Line::File { mode, size, name }) => {
            assert!(!name.contains(&b'/') && name != b"..");
            if !name.contains(&b'\n') {
                let told = tell('C', mode, size, name);
                let file = Line::File { mode, size, name };
                assert_eq!(Line::read(&told[..told.len() - 1]), Some(file));
            }
        }
        Some(Line::Folder { name, .. }) => assert!(!name.contains(&b'/') && name != b".."),
        _ => {}
    }
});
