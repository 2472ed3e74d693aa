//! A pattern of scp and a name: matching never panics, and a name in backslashes matches itself.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: it needs no more.
#[path = "../../../agent/worker/src/scp/pattern.rs"]
mod pattern;

fuzz_target!(|input: (&[u8], &[u8])| {
    let (pattern, name) = input;
    let parts = pattern::parts(pattern);
    assert!(!parts.is_empty());
    for part in &parts {
        let matches = part.matches(name);
        if let Some(literal) = part.literal() {
            assert_eq!(matches, literal == name);
        }
    }
    if !name.contains(&b'/') {
        let escaped: Vec<u8> = name.iter().flat_map(|byte| [b'\\', *byte]).collect();
        let [part] = pattern::parts(&escaped).try_into().expect("one name");
        assert!(part.matches(name));
    }
});
