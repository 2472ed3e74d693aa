//! The configurations that the chart renders, as the parts themselves check them.

use std::collections::BTreeSet;
use std::process::Command;

use podgate_tests::fixtures::gateway::binary;

use super::rendered::Object;

/// A ConfigMap's key, and who reads it.
const READERS: &[(&str, &str)] = &[
    ("agent.yaml", "podgate-agent"),
    ("frontdoor.yaml", "podgate-frontdoor"),
    ("replay.yaml", "podgate-replay"),
    ("signer.yaml", "podgate-signer"),
];

/// Checks every distinct configuration of all cases.
pub(super) fn check<'a>(objects: impl Iterator<Item = &'a Object>) {
    let mut texts = BTreeSet::new();
    for object in objects.filter(|object| object.object["kind"] == "ConfigMap") {
        for reader in READERS {
            if let Some(text) = object.object["data"][reader.0].as_str() {
                texts.insert((reader, text));
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for reader in READERS {
        assert!(texts.iter().any(|(by, _)| *by == reader), "{}", reader.0);
    }
    // Of the volumes that a configuration names.
    let volumes = ["recordings", "spool"].map(|folder| {
        let volume = dir.path().join(folder);
        std::fs::create_dir(&volume).unwrap();
        (format!("/var/lib/podgate/{folder}"), volume)
    });
    for ((name, program), text) in texts {
        let file = dir.path().join(name);
        let text = volumes
            .iter()
            .fold(text.to_owned(), |text, (path, volume)| {
                text.replace(path, &volume.to_string_lossy())
            });
        std::fs::write(&file, &text).unwrap();
        let mut command = Command::new(binary(program).unwrap());
        command.arg("--config").arg(&file).arg("--check");
        command
            .env("NODE_NAME", "node-a")
            .env("HOST_IP", "192.0.2.1");
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}\n{text}");
    }
}
