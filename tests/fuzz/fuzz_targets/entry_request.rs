//! What an agent asks the node entry: reading it never panics, what is read is written as the same again, and its
//! names are bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_node_entry::protocol::{Action, Request};

fuzz_target!(|input: &[u8]| {
    let Ok(request) = serde_json::from_slice::<Request>(input) else {
        return;
    };
    let again = serde_json::to_vec(&request).expect("it is written");
    assert_eq!(
        serde_json::from_slice::<Request>(&again).ok().as_ref(),
        Some(&request)
    );
    if let Action::Start(start) = request.action {
        let id = start.container.as_ref();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        for name in [start.pod.as_ref(), start.name.as_ref()] {
            assert!(!name.is_empty() && name.len() <= 128 && !name.contains('/'));
        }
        assert!(!start.user.as_ref().is_empty() && start.user.as_ref().len() <= 256);
    }
});
