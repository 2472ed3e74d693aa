//! Which program runs a container, and where it keeps its state: from what containerd's shim has
//! written into the bundle. Only runc and crun are known.

use std::path::{Path, PathBuf};

use podgate_node_entry::protocol::Process;
use podgate_node_entry::reason::Reason;

use super::json::{Object, text};

/// What the shim runs if it was not told.
const PROGRAM: &str = "runc";
/// Where runc keeps its state then.
const ROOT: &str = "/run/containerd/runc";
/// Of all containers that the kubelet asks for, and of no others.
const NAMESPACE: &str = "k8s.io";
/// The shim that runs runc or what has its arguments.
const SHIM: &str = "containerd-shim-runc-v";

/// Where control groups are that count memory: of version 2, and of version 1.
const CONTROL_GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"];

/// A program that runs containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Runc,
    Crun,
}

/// How a container is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runtime {
    pub(crate) kind: Kind,
    /// A path, or a name in the PATH of the shim.
    pub(crate) program: String,
    /// Holds a folder for each container.
    pub(crate) root: PathBuf,
    pub(crate) systemd: bool,
}

impl Runtime {
    /// From options.json, which is left out by a shim without options, and the path of the shim.
    pub(crate) fn new(options: &Object, shim: Option<&str>) -> Result<Self, Reason> {
        let file = |path: &str| path.rsplit('/').next().unwrap_or(path).trim().to_owned();
        if let Some(shim) = shim.map(file)
            && !shim.starts_with(SHIM)
        {
            return Err(Reason::OtherRuntime(shorten(&shim)));
        }
        let program = text(options, "binary_name").unwrap_or(PROGRAM);
        let kind = match file(program).as_str() {
            "runc" => Kind::Runc,
            "crun" => Kind::Crun,
            other => return Err(Reason::OtherRuntime(shorten(other))),
        };
        let root = text(options, "root").unwrap_or(ROOT);
        Ok(Self {
            kind,
            program: program.to_owned(),
            root: Path::new(root).join(NAMESPACE),
            systemd: options.get("systemd_cgroup").and_then(|it| it.as_bool()) == Some(true),
        })
    }

    /// The file that says which process is the container's first.
    pub(crate) fn state(&self, id: &str) -> PathBuf {
        self.root.join(id).join(match self.kind {
            Kind::Runc => "state.json",
            Kind::Crun => "status",
        })
    }

    /// The container's first process, by that file.
    pub(crate) fn first(&self, state: &Object) -> Option<Process> {
        let (pid, start_time) = match self.kind {
            Kind::Runc => ("init_process_pid", "init_process_start"),
            Kind::Crun => ("pid", "process-start-time"),
        };
        let number = |key| state.get(key).and_then(|it| it.as_u64());
        let pid = number(pid).and_then(|pid| i32::try_from(pid).ok())?;
        Some(Process {
            pid: (pid > 1).then_some(pid)?,
            start_time: number(start_time)?,
        })
    }

    /// The files that may count what the kernel has killed in the container because its memory limit was
    /// reached, by that file.
    pub(crate) fn kills(&self, state: &Object) -> Vec<PathBuf> {
        let folders: Vec<PathBuf> = match self.kind {
            Kind::Runc => {
                let of = |key| state.get("cgroup_paths")?.get(key)?.as_str();
                let paths = ["", "memory"].into_iter().filter_map(of);
                paths.map(PathBuf::from).collect()
            }
            Kind::Crun => {
                let path = text(state, "cgroup-path").map(|path| path.trim_start_matches('/'));
                let folders =
                    path.map(|path| CONTROL_GROUPS.map(|root| Path::new(root).join(path)));
                folders.into_iter().flatten().collect()
            }
        };
        folders.iter().flat_map(|folder| counts(folder)).collect()
    }
}

/// Files that count what was killed in a container because its memory limit was reached, by the folder of its
/// control group, or what may be that.
fn counts(folder: &Path) -> [PathBuf; 2] {
    // Of version 2 of control groups, and of version 1.
    ["memory.events", "memory.oom_control"].map(|name| folder.join(name))
}

fn shorten(name: &str) -> String {
    let sound = name.chars().filter(|c| !c.is_control());
    sound.take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::json;

    #[test]
    fn the_bundle_says_what_runs_it() {
        let parse = |options: &str, shim: Option<&str>| {
            Runtime::new(&json::object(options.as_bytes()).unwrap(), shim)
        };
        let runtime = |kind, program: &str, root: &str, systemd| {
            let root = root.into();
            let program = program.to_owned();
            Ok(Runtime {
                kind,
                program,
                root,
                systemd,
            })
        };
        let shim = Some("/usr/bin/containerd-shim-runc-v2\n");
        let usual = runtime(Kind::Runc, "runc", "/run/containerd/runc/k8s.io", false);
        assert_eq!(parse("{}", shim), usual);
        assert_eq!(parse(r#"{"binary_name":"","root":""}"#, None), usual);
        assert_eq!(
            parse(
                r#"{"binary_name":"/opt/crun","root":"/run/c","systemd_cgroup":true}"#,
                shim
            ),
            runtime(Kind::Crun, "/opt/crun", "/run/c/k8s.io", true)
        );
        let other = |name: &str| Err(Reason::OtherRuntime(name.to_owned()));
        assert_eq!(
            parse(r#"{"binary_name":"/x/sysbox-runc"}"#, shim),
            other("sysbox-runc")
        );
        assert_eq!(parse(r#"{"binary_name":"krun"}"#, shim), other("krun"));
        let kata = Some("/opt/kata/bin/containerd-shim-kata-v2");
        assert_eq!(parse("{}", kata), other("containerd-shim-kata-v2"));
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus");
        let objects = |target: &str| {
            let files = std::fs::read_dir(format!("{corpus}/{target}")).unwrap();
            let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
            let objects = bytes.filter_map(|bytes| json::object(&bytes).ok());
            objects.collect::<Vec<_>>()
        };
        let known = objects("bundle_options");
        let known = known.iter().filter(|it| Runtime::new(it, None).is_ok());
        assert_eq!(known.count(), 4);
        let first = |program: &str| {
            let options = Object::from_iter([("binary_name".to_owned(), program.into())]);
            let runtime = Runtime::new(&options, None).unwrap();
            let states = objects("runtime_state");
            states
                .iter()
                .filter(|state| runtime.first(state).is_some())
                .count()
        };
        assert_eq!((first("runc"), first("crun")), (1, 1));
    }

    #[test]
    fn the_state_names_the_first_process() {
        let runtime = |binary: &str| {
            let options = format!(r#"{{"binary_name":"{binary}"}}"#);
            Runtime::new(&json::object(options.as_bytes()).unwrap(), None).unwrap()
        };
        let first = |binary: &str, state: &str| {
            runtime(binary).first(&json::object(state.as_bytes()).unwrap())
        };
        let process = Some(Process {
            pid: 7,
            start_time: 9,
        });
        assert_eq!(
            first("runc", r#"{"init_process_pid":7,"init_process_start":9}"#),
            process
        );
        assert_eq!(
            first("crun", r#"{"pid":7,"process-start-time":9}"#),
            process
        );
        for state in [
            "{}",
            r#"{"init_process_pid":7}"#,
            r#"{"init_process_pid":1,"init_process_start":9}"#,
            r#"{"init_process_pid":-7,"init_process_start":9}"#,
            r#"{"init_process_pid":4294967303,"init_process_start":9}"#,
        ] {
            assert_eq!(first("runc", state), None, "{state}");
        }
        assert!(runtime("crun").state("x").ends_with("x/status"));
    }

    #[test]
    fn the_state_names_the_control_group() {
        let kills = |binary: &str, state: &str| {
            let options = Object::from_iter([("binary_name".to_owned(), binary.into())]);
            let runtime = Runtime::new(&options, None).unwrap();
            runtime.kills(&json::object(state.as_bytes()).unwrap())
        };
        let files = |folder: &str| counts(Path::new(folder)).to_vec();
        for (state, folder) in [
            (
                r#"{"cgroup_paths":{"":"/sys/fs/cgroup/pods/x"}}"#,
                "/sys/fs/cgroup/pods/x",
            ),
            (
                r#"{"cgroup_paths":{"cpu":"/c","memory":"/sys/fs/cgroup/memory/x"}}"#,
                "/sys/fs/cgroup/memory/x",
            ),
        ] {
            assert_eq!(kills("runc", state), files(folder), "{state}");
        }
        let both = [
            files("/sys/fs/cgroup/pods/x"),
            files("/sys/fs/cgroup/memory/pods/x"),
        ]
        .concat();
        assert_eq!(kills("crun", r#"{"cgroup-path":"/pods/x"}"#), both);
        for state in ["{}", r#"{"cgroup_paths":7,"cgroup-path":7}"#] {
            assert!(kills("runc", state).is_empty() && kills("crun", state).is_empty());
        }
    }
}
