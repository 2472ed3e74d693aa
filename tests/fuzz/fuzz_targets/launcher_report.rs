//! What a container's launcher tells the agent, and what tells a launcher what to run: reading never panics, what is read
//! is written as the same again, and its fields are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_node_entry::launch::{Launch, MAX_LAUNCH};
use podgate_node_entry::report::{MAX_FIELD, Report};

fuzz_target!(|input: &[u8]| {
    if let Ok(report) = Report::parse(input) {
        if let Report::Ready(ready) = &report {
            for field in [&ready.user, &ready.home, &ready.shell] {
                assert!(field.len() <= MAX_FIELD);
            }
            assert_eq!(Report::parse(&report.encode()).as_ref(), Ok(&report));
        }
        // The name of a program that is no UTF-8 is shown, and not written again.
        assert!(Report::parse(&report.encode()).is_ok());
    }
    if let Ok(launch) = Launch::parse(input) {
        let again = launch.encode().expect("it is written");
        assert!(again.len() <= MAX_LAUNCH);
        assert_eq!(Launch::parse(&again).ok(), Some(launch));
    }
});
