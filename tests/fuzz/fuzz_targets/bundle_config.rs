//! A bundle's config.json, of which a pod's author writes much: reading it never panics, no container is entered but
//! the one that is meant, none that has a mark of a privileged one, and of its process only a few fields change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podgate_node_entry::protocol::{Folder, Start, Streams};
use serde_json::{Map, Value};

// The pure files themselves: they are the program's own.
#[path = "../../../agent/entry/src/container"]
#[allow(dead_code, reason = "what the starter alone asks")]
mod container {
    pub(crate) mod config;
    pub(crate) mod json;
}
use container::config::{Config, Rules};
use container::json;

/// What a description may have other than the container's own process.
const REPLACED: [&str; 5] = ["args", "commandLine", "consoleSize", "cwd", "terminal"];

fuzz_target!(|input: &[u8]| {
    let Ok(object) = json::object(input) else {
        return;
    };
    let name = |text: &str| text.to_owned();
    let start = Start {
        container: "a".repeat(64).try_into().expect("an id"),
        pod: name("u-1").try_into().expect("a UID"),
        name: name("app").try_into().expect("a name"),
        user: name("ann").try_into().expect("a user"),
        streams: Streams::Terminal {
            columns: 80,
            rows: 24,
        },
        folder: Folder::Root,
    };
    let config = Config(object.clone());
    let _ = config.owner();
    if config.check(&start, &Rules::default()).is_ok() {
        let annotation = |key: &str| object["annotations"][key].as_str();
        assert_eq!(annotation("io.kubernetes.cri.sandbox-uid"), Some("u-1"));
        assert_eq!(annotation("io.kubernetes.cri.container-name"), Some("app"));
        let masked = object["linux"]["maskedPaths"].as_array();
        assert!(masked.is_some_and(|paths| !paths.is_empty()));
    }
    if let Ok(described) = config.describe(&start, "/proc/self/fd/3") {
        let kept = |object: &Map<String, Value>| {
            let mut object = object.clone();
            object.retain(|key, _| !REPLACED.contains(&key.as_str()));
            object
        };
        let described = json::object(&described).expect("an object");
        assert_eq!(described["args"], serde_json::json!(["/proc/self/fd/3"]));
        assert_eq!(
            kept(&described),
            kept(object["process"].as_object().expect("a process"))
        );
    }
});
