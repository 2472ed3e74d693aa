//! A bundle's config.json (OCI runtime specification): whose the container is, whether it may be
//! entered, and the description of a process in it, which is its own with a few fields replaced.

use serde_json::{Value, json};

use podgate_node_entry::protocol::{Folder, Start, Streams};
use podgate_node_entry::reason::Reason;

use super::json::{Object, text};

/// What containerd's CRI service writes into a bundle (pkg/cri/annotations).
const KIND: &str = "io.kubernetes.cri.container-type";
const NAME: &str = "io.kubernetes.cri.container-name";
const POD: &str = "io.kubernetes.cri.sandbox-uid";
const NAMESPACE: &str = "io.kubernetes.cri.sandbox-namespace";

/// Which containers the entry enters, whoever asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) privileged: bool,
    pub(crate) host_processes: bool,
    /// If there are any, no other.
    pub(crate) only_namespaces: Vec<String>,
    pub(crate) no_namespaces: Vec<String>,
}

/// A parsed config.json.
#[derive(Debug)]
pub(crate) struct Config(pub(crate) Object);

impl Config {
    /// Whether it is the container that is meant, and one that may be entered.
    pub(crate) fn check(&self, start: &Start, rules: &Rules) -> Result<(), Reason> {
        let annotations = self.0.get("annotations").and_then(Value::as_object);
        let named = |key| text(annotations?, key);
        let is_meant = named(KIND) == Some("container")
            && named(NAME) == Some(start.name.as_ref())
            && named(POD) == Some(start.pod.as_ref());
        if !is_meant {
            return Err(Reason::OtherPod);
        }
        let namespace = named(NAMESPACE).unwrap_or_default();
        let is_in = |names: &[String]| names.iter().any(|name| name == namespace);
        let only = &rules.only_namespaces;
        if is_in(&rules.no_namespaces) || (!only.is_empty() && !is_in(only)) {
            return Err(Reason::Namespace);
        }
        if self.is_privileged() && !rules.privileged {
            return Err(Reason::Privileged);
        }
        Ok(())
    }

    /// Whether it has the marks of a privileged one: nothing of /proc is hidden from it, or every device
    /// is open to it. A container that has only one of them is taken for privileged, too.
    fn is_privileged(&self) -> bool {
        let Some(linux) = self.0.get("linux").and_then(Value::as_object) else {
            return true;
        };
        let masked = linux.get("maskedPaths").and_then(Value::as_array);
        let rules = linux.get("resources").and_then(|it| it.get("devices"));
        let rules = rules.and_then(Value::as_array).map(Vec::as_slice);
        let opens_all = |rule: &Value| {
            let is_any = |key| rule.get(key).and_then(Value::as_i64).is_none_or(|n| n < 0);
            let kind = rule.get("type").and_then(Value::as_str).unwrap_or("a");
            rule.get("allow").and_then(Value::as_bool) == Some(true)
                && matches!(kind, "a" | "")
                && is_any("major")
                && is_any("minor")
        };
        masked.is_none_or(Vec::is_empty) || rules.unwrap_or_default().iter().any(opens_all)
    }

    /// The description of a process: that of the container's first one, which is what the runtime's own
    /// exec starts from. Only these fields are replaced.
    pub(crate) fn describe(&self, start: &Start, program: &str) -> Result<Vec<u8>, Reason> {
        let process = self.0.get("process").and_then(Value::as_object);
        let invalid = || Reason::Runtime("its description names no process".to_owned());
        let mut process = process.ok_or_else(invalid)?.clone();
        process.insert("args".into(), json!([program]));
        process.remove("commandLine");
        process.remove("consoleSize");
        let terminal = match start.streams {
            Streams::Pipes => false,
            Streams::Terminal { columns, rows } => {
                let size = json!({"height": rows, "width": columns});
                process.insert("consoleSize".into(), size);
                true
            }
        };
        process.insert("terminal".into(), terminal.into());
        match start.folder {
            Folder::Container => {}
            Folder::Root => drop(process.insert("cwd".into(), "/".into())),
        }
        serde_json::to_vec(&process).map_err(|error| Reason::Entry(error.to_string()))
    }

    /// The node's ids of the container's user, if it has a user namespace of its own. What it is given
    /// must be theirs, or it cannot be opened again in there.
    pub(crate) fn owner(&self) -> Option<(u32, u32)> {
        let linux = self.0.get("linux")?;
        let user = self.0.get("process").and_then(|it| it.get("user"));
        let map = |key: &str, field: &str| {
            let id = user.and_then(|it| it.get(field)).and_then(Value::as_u64);
            map(linux.get(key)?.as_array()?, id.unwrap_or(0))
        };
        Some((map("uidMappings", "uid")?, map("gidMappings", "gid")?))
    }
}

/// An id of the node for one of the container.
fn map(mappings: &[Value], id: u64) -> Option<u32> {
    mappings.iter().find_map(|mapping| {
        let number = |key| mapping.get(key).and_then(Value::as_u64);
        let (inside, outside) = (number("containerID")?, number("hostID")?);
        let offset = id.checked_sub(inside)?;
        let mapped = outside.checked_add(offset)?;
        (offset < number("size")?).then(|| mapped.try_into().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::json;

    const CONFIG: &str = r#"{
        "ociVersion": "1.0.2", "new": {"field": 1},
        "process": {
            "user": {"uid": 1000, "gid": 1001, "umask": 18}, "args": ["sleep"], "commandLine": "x",
            "env": ["A=b"], "cwd": "/srv", "noNewPrivileges": true, "later": {"mask": [1]}
        },
        "annotations": {
            "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-namespace": "prod", "io.kubernetes.cri.sandbox-uid": "u-1"
        },
        "linux": {
            "maskedPaths": ["/proc/kcore"],
            "resources": {"devices": [{"allow": false, "access": "rwm"}]}
        }
    }"#;

    fn config(from: &str, to: &str) -> Config {
        assert!(CONFIG.contains(from), "{from}");
        Config(json::object(CONFIG.replace(from, to).as_bytes()).unwrap())
    }

    fn start(streams: Streams, folder: Folder) -> Start {
        Start {
            container: "a".repeat(64).try_into().unwrap(),
            pod: "u-1".to_owned().try_into().unwrap(),
            name: "app".to_owned().try_into().unwrap(),
            user: "ann".to_owned().try_into().unwrap(),
            streams,
            folder,
        }
    }

    #[test]
    fn only_the_container_that_is_meant_is_entered() {
        let start = start(Streams::Pipes, Folder::Container);
        let check = |from: &str, to: &str, rules: &Rules, expect: Result<(), Reason>| {
            assert_eq!(config(from, to).check(&start, rules), expect, "{to}");
        };
        let rules = Rules::default();
        check("", "", &rules, Ok(()));
        for (from, to) in [
            ("\"app\"", "\"other\""),
            ("\"u-1\"", "\"u-2\""),
            (": \"container\"", ": \"sandbox\""),
            ("annotations", "others"),
        ] {
            check(from, to, &rules, Err(Reason::OtherPod));
        }
        let none = Rules {
            no_namespaces: vec!["prod".into()],
            ..Rules::default()
        };
        check("", "", &none, Err(Reason::Namespace));
        let other = Rules {
            only_namespaces: vec!["test".into()],
            ..Rules::default()
        };
        check("", "", &other, Err(Reason::Namespace));
        check("prod", "test", &other, Ok(()));
    }

    #[test]
    fn a_privileged_container_is_known_by_either_mark() {
        let start = start(Streams::Pipes, Folder::Container);
        let may = Rules {
            privileged: true,
            ..Rules::default()
        };
        for (from, to) in [
            ("[\"/proc/kcore\"]", "[]"),
            ("\"maskedPaths\"", "\"others\""),
            ("\"allow\": false", "\"allow\": true"),
            ("\"linux\"", "\"others\""),
        ] {
            let config = config(from, to);
            assert_eq!(
                config.check(&start, &Rules::default()),
                Err(Reason::Privileged),
                "{to}"
            );
            assert_eq!(config.check(&start, &may), Ok(()), "{to}");
        }
        let one = r#""allow": true, "type": "c", "major": 1, "minor": 3"#;
        let config = config("\"allow\": false", one);
        assert_eq!(config.check(&start, &Rules::default()), Ok(()));
    }

    #[test]
    fn of_the_description_only_a_few_fields_are_replaced() {
        let config = config("", "");
        let described = |streams, folder| {
            let described = config.describe(&start(streams, folder), "/proc/self/fd/3");
            serde_json::from_slice::<Value>(&described.unwrap()).unwrap()
        };
        let mut expect = json!({
            "user": {"uid": 1000, "gid": 1001, "umask": 18}, "args": ["/proc/self/fd/3"],
            "env": ["A=b"], "cwd": "/srv", "noNewPrivileges": true, "later": {"mask": [1]},
            "terminal": false
        });
        assert_eq!(described(Streams::Pipes, Folder::Container), expect);
        expect["cwd"] = "/".into();
        expect["terminal"] = true.into();
        expect["consoleSize"] = json!({"height": 24, "width": 80});
        let terminal = Streams::Terminal {
            columns: 80,
            rows: 24,
        };
        assert_eq!(described(terminal, Folder::Root), expect);
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/bundle_config"
        );
        let start = start(Streams::Pipes, Folder::Container);
        let (mut entered, mut described) = (0, 0);
        for file in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let Ok(object) = json::object(&bytes) else {
                continue;
            };
            let config = Config(object);
            let _ = config.owner();
            entered += usize::from(config.check(&start, &Rules::default()).is_ok());
            described += usize::from(config.describe(&start, "x").is_ok());
        }
        assert_eq!((entered, described), (3, 6));
    }

    #[test]
    fn ids_are_those_of_the_node() {
        assert_eq!(config("", "").owner(), None);
        let mappings = r#""uidMappings": [{"containerID": 0, "hostID": 65536, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 7, "size": 10},
                            {"containerID": 1000, "hostID": 5000, "size": 2}], "maskedPaths""#;
        let mapped = config("\"maskedPaths\"", mappings);
        assert_eq!(mapped.owner(), Some((66536, 5001)));
        let small = mappings.replace("\"size\": 2", "\"size\": 1");
        assert_eq!(config("\"maskedPaths\"", &small).owner(), None);
    }
}
