//! runc's state.json and crun's status: reading them never panics, and no container's first process is the node's.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure files themselves: they are the program's own.
#[path = "../../../agent/entry/src/container"]
#[allow(dead_code, reason = "what the starter alone asks")]
mod container {
    pub(crate) mod json;
    pub(crate) mod runtime;
}
use container::json::{self, Object};
use container::runtime::Runtime;

fuzz_target!(|input: &[u8]| {
    let Ok(state) = json::object(input) else {
        return;
    };
    for program in ["runc", "crun"] {
        let options = Object::from_iter([("binary_name".to_owned(), program.into())]);
        let runtime = Runtime::new(&options, None).expect("it is known");
        if let Some(first) = runtime.first(&state) {
            assert!(first.pid > 1);
        }
        for file in runtime.kills(&state) {
            assert!(
                file.file_name()
                    .is_some_and(|name| name == "memory.events" || name == "memory.oom_control")
            );
        }
    }
});
