//! What Helm's own engine renders from the chart, one line per case of tests/chart/cases.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

/// What the chart renders from some values.
#[derive(Debug, Deserialize)]
pub(super) struct Rendered {
    pub(super) case: String,
    /// What Helm's linter warns of.
    pub(super) lint: Vec<String>,
    pub(super) notes: String,
    pub(super) objects: Vec<Object>,
    /// The templates' text, of the default values alone.
    pub(super) texts: BTreeMap<String, String>,
}

/// An object, and the template that it comes from.
#[derive(Debug, Deserialize)]
pub(super) struct Object {
    pub(super) file: String,
    pub(super) object: Value,
}

/// What a template must say or, after `!`, must not.
#[derive(Debug, Deserialize)]
pub(super) struct Claim {
    pub(super) claim: String,
    pub(super) expect: Vec<String>,
    pub(super) text: String,
}

/// Values that must be refused.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    pub(super) refused: String,
    pub(super) expect: String,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Rendered(Rendered),
    Claim(Claim),
    Refused(Refused),
}

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All cases of tests/chart/cases.py.
pub(super) fn lines() -> Vec<Line> {
    let mut command = Command::new(root().join("tests/chart/render"));
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(
        output.status.success(),
        "tests/chart/render: {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(line).collect()
}
