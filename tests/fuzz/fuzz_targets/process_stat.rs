//! A line of /proc/PID/stat, from a container: reading it never panics, and the name of the process, which
//! whoever runs there chooses, changes nothing about which process it is.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../agent/src/shell/leader.rs"]
mod leader;
use leader::Leader;

fuzz_target!(|line: &str| {
    // Whatever it is, it is read or refused.
    let _ = Leader::from_stat(line);
    let fields = "S 1 7 7 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 1 0 987654 0";
    let meant = Leader {
        pid: 7,
        start_time: 987_654,
    };
    let found = Leader::from_stat(&format!("7 ({line}) {fields}"));
    assert_eq!(found, Some(meant));
});
