//! A bundle's options.json: reading it never panics, and only runc and crun are run, with their state where they have
//! it.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure files themselves: they are the program's own.
#[path = "../../../agent/entry/src/container"]
#[allow(dead_code, reason = "what the starter alone asks")]
mod container {
    pub(crate) mod json;
    pub(crate) mod runtime;
}
use container::json;
use container::runtime::Runtime;

fuzz_target!(|input: &[u8]| {
    let Ok(options) = json::object(input) else {
        return;
    };
    for shim in [None, Some("/usr/bin/containerd-shim-runc-v2")] {
        if let Ok(runtime) = Runtime::new(&options, shim) {
            let name = runtime.program.rsplit('/').next().map(str::trim);
            assert!(matches!(name, Some("runc" | "crun")), "{}", runtime.program);
            assert!(runtime.root.ends_with("k8s.io"));
            assert!(runtime.state("id").starts_with(&runtime.root));
        }
    }
    assert!(Runtime::new(&options, Some("/x/containerd-shim-kata-v2")).is_err());
});
