//! Finds a container on the node by its id.

use std::io;
use std::path::{Path, PathBuf};

use podgate_node_entry::ids::ContainerId;
use podgate_node_entry::protocol::Process;
use podgate_node_entry::reason::Reason;

use super::config::Config;
use super::json::{self, Object};
use super::kills::Kills;
use super::node::Root;
use super::runtime::Runtime;
use crate::processes::{self, Stat};

/// Where containerd's state is: as it is packaged, and as k3s and RKE2, microk8s, and k0s have it.
pub(crate) const STATES: [&str; 4] = [
    "/run/containerd",
    "/run/k3s/containerd",
    "/var/snap/microk8s/common/run/containerd",
    "/run/k0s/containerd",
];
/// The bundles of what the kubelet asks for, below that.
const BUNDLES: &str = "io.containerd.runtime.v2.task/k8s.io";

/// Where CRI-O has its containers (`conmon` bundles), and what their runtimes know of them. These are bundles of
/// another layout, with other annotations.
const CRIO: &[&str] = &[
    "/run/containers/storage/overlay-containers",
    "/var/run/containers/storage/overlay-containers",
    "/run/runc",
    "/run/crun",
];

/// A container that runs.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) config: Config,
    pub(crate) runtime: Runtime,
    /// Its first process.
    pub(crate) first: Process,
    /// From when it was found; none where nobody counts.
    pub(crate) kills: Option<Kills>,
}

/// Where bundles may be on this node.
#[derive(Debug)]
pub(crate) struct Bundles {
    node: Root,
    folders: Vec<PathBuf>,
}

impl Bundles {
    /// Below these folders of the node's root.
    pub(crate) fn new(root: &Path, states: &[PathBuf]) -> io::Result<Self> {
        let folders = states.iter().map(|state| state.join(BUNDLES));
        Ok(Self {
            node: Root::at(root)?,
            folders: folders.collect(),
        })
    }

    /// Those folders that are there.
    pub(crate) fn there(&self) -> Vec<&Path> {
        let folders = self.folders.iter().map(PathBuf::as_path);
        folders
            .filter(|folder| self.node.is_folder(folder))
            .collect()
    }

    /// The container of an id.
    pub(crate) fn find(&self, id: &ContainerId) -> Result<Container, Reason> {
        let bundles = self.folders.iter().map(|folder| folder.join(id.as_ref()));
        let bundle = bundles
            .into_iter()
            .find(|bundle| self.node.is_folder(bundle));
        let bundle = bundle.ok_or_else(|| self.elsewhere(id))?;
        let config = self
            .object(&bundle.join("config.json"))?
            .ok_or(Reason::Gone)?;
        let options = self
            .object(&bundle.join("options.json"))?
            .unwrap_or_default();
        let shim = self.read(&bundle.join("shim-binary-path"))?;
        let shim = shim.map(|shim| String::from_utf8_lossy(&shim).into_owned());
        let runtime = Runtime::new(&options, shim.as_deref())?;
        let state = self
            .object(&runtime.state(id.as_ref()))?
            .ok_or(Reason::Gone)?;
        let first = runtime.first(&state).ok_or(Reason::Gone)?;
        let kills = Kills::open(&self.node, &runtime.kills(&state));
        Ok(Container {
            config: Config(config),
            runtime,
            first,
            kills,
        })
    }

    /// Why there is no bundle of a container.
    fn elsewhere(&self, id: &ContainerId) -> Reason {
        let folders = CRIO
            .iter()
            .map(|folder| Path::new(folder).join(id.as_ref()));
        if folders
            .into_iter()
            .any(|folder| self.node.is_folder(&folder))
        {
            return Reason::OtherService("CRI-O".to_owned());
        }
        Reason::Gone
    }

    /// Containers of this node, some of them.
    pub(crate) fn some(&self, most: usize) -> Vec<ContainerId> {
        let names = self
            .folders
            .iter()
            .flat_map(|folder| self.node.names(folder, most));
        let ids = names.filter_map(|name| name.try_into().ok());
        ids.take(most).collect()
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Reason> {
        let failed = |error| Reason::Entry(format!("{}: {error}", path.display()));
        self.node.read(path).map_err(failed)
    }

    fn object(&self, path: &Path) -> Result<Option<Object>, Reason> {
        let Some(bytes) = self.read(path)? else {
            return Ok(None);
        };
        let failed = |error| Reason::Entry(format!("{}: {error}", path.display()));
        Ok(Some(json::object(&bytes).map_err(failed)?))
    }
}

impl Container {
    /// Its first process, while it runs.
    pub(crate) fn live(&self) -> Result<Stat, Reason> {
        processes::find(self.first).ok_or(Reason::Gone)
    }

    /// Whether its processes are among the node's.
    pub(crate) fn sees_the_node(&self) -> bool {
        let theirs = processes::namespace(&self.first.pid.to_string(), "pid");
        theirs.is_none() || theirs == processes::namespace("self", "pid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_another_service_is_not_taken_for_one_that_is_gone() {
        let root = std::env::temp_dir().join(format!("podgate-bundles-{}", std::process::id()));
        let id = |digit: &str| -> ContainerId { digit.repeat(64).try_into().unwrap() };
        let make = |folder: &str| std::fs::create_dir_all(root.join(folder)).unwrap();
        for (digit, folder) in [("a", CRIO[0]), ("b", CRIO[2]), ("c", CRIO[3])] {
            make(&format!(".{folder}/{}", digit.repeat(64)));
        }
        make(&format!("run/containerd/{BUNDLES}/{}", "d".repeat(64)));
        make(&format!("run/containerd/{BUNDLES}/.other"));
        let bundles = Bundles::new(&root, &STATES.map(PathBuf::from)).unwrap();
        let why = |digit| bundles.find(&id(digit)).unwrap_err();
        for digit in ["a", "b", "c"] {
            assert_eq!(why(digit), Reason::OtherService("CRI-O".into()), "{digit}");
            assert!(why(digit).leaves_the_kubelet().is_some());
        }
        assert_eq!(why("d"), Reason::Gone, "it has no description");
        assert_eq!(why("e"), Reason::Gone);
        assert_eq!(bundles.some(9), [id("d")]);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
