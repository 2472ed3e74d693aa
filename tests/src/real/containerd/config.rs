//! containerd's configuration. It uses nothing outside the state folder except the kernel's own tables,
//! and has only what runc needs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::fixtures::images::Image;

/// The snapshotter this machine can use.
#[derive(Debug, Clone, Copy)]
pub(super) enum Snapshotter {
    Overlayfs,
    /// Copies whole trees; for a machine whose temporary folder is itself an overlay.
    Native,
}

impl Snapshotter {
    /// Mounts an overlay to see whether that works. If containerd is told to use a snapshotter that
    /// does not work, it starts without its CRI service and says little about it.
    pub(super) fn probe(scratch: &Path) -> std::io::Result<Self> {
        let folder = |name: &str| {
            let path = scratch.join("overlay").join(name);
            std::fs::create_dir_all(&path).map(|()| path)
        };
        let (lower, upper, work, merged) = (
            folder("lower")?,
            folder("upper")?,
            folder("work")?,
            folder("merged")?,
        );
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        let options = std::ffi::CString::new(options)?;
        if mount(
            "overlay",
            &merged,
            "overlay",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .is_err()
        {
            return Ok(Self::Native);
        }
        unmount(&merged, UnmountFlags::DETACH)?;
        Ok(Self::Overlayfs)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overlayfs => "overlayfs",
            Self::Native => "native",
        }
    }
}

/// Makes a pod's own network: loopback alone, because only a forward into the pod must reach it. It
/// also stands in for CNI's `loopback`, which containerd runs first.
const NETWORK_PLUGIN: &str = r#"#!/bin/sh
case $CNI_COMMAND in
ADD)
    /bin/busybox nsenter --net="$CNI_NETNS" /bin/busybox ip link set lo up || exit 1
    echo '{"cniVersion": "0.4.0",
           "interfaces": [{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}],
           "ips": [{"version": "4", "interface": 0, "address": "127.0.0.1/8"}]}' ;;
VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}' ;;
esac
"#;
const NETWORK: &str = r#"{
  "cniVersion": "0.4.0", "name": "podgate-stand", "plugins": [{"type": "lonely"}]
}"#;

/// Debian's crun. It refuses version 1 of cgroups with version 2 beside it, so there it does not see the latter.
const CRUN: &str = r#"#!/bin/sh
export PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
mountpoint -q /sys/fs/cgroup/unified || exec crun "$@"
exec unshare --mount sh -c 'umount /sys/fs/cgroup/unified; exec crun "$@"' crun "$@"
"#;

/// Seconds after which a stream that is silent is cut. Some signs of life of the agent come in that time.
pub const IDLE: u64 = 45;

/// Writes the configuration of a containerd whose every path is below `dir`, and answers its path.
pub(super) fn write(dir: &Path, snapshotter: Snapshotter) -> std::io::Result<PathBuf> {
    let (plugins, networks) = (dir.join("cni/bin"), dir.join("cni/conf"));
    std::fs::create_dir_all(&plugins)?;
    std::fs::create_dir_all(&networks)?;
    std::fs::write(networks.join("10-stand.conflist"), NETWORK)?;
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin)?;
    for (program, text) in [
        (plugins.join("lonely"), NETWORK_PLUGIN),
        (plugins.join("loopback"), NETWORK_PLUGIN),
        (bin.join("crun"), CRUN),
    ] {
        std::fs::write(&program, text)?;
        std::fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    }
    let config = dir.join("config.toml");
    std::fs::write(&config, text(dir, snapshotter))?;
    Ok(config)
}

fn text(dir: &Path, snapshotter: Snapshotter) -> String {
    let dir = dir.display();
    let sandbox = Image::Pause.reference();
    let snapshotter = snapshotter.name();
    format!(
        r#"version = 2
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.nri.v1.nri",
]

[grpc]
address = "{dir}/containerd.sock"

[ttrpc]
address = "{dir}/ttrpc.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "{dir}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox}"
stream_server_address = "127.0.0.1"
stream_server_port = "0"
# Hardened profiles of the runtime cut what is silent, and so does this one.
stream_idle_timeout = "{IDLE}s"
# Without CAP_SYS_RESOURCE runc may not lower the score, and dies while it tries.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{dir}/cni/bin"
conf_dir = "{dir}/cni/conf"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{dir}/runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "{dir}/bin/crun"
Root = "{dir}/crun"
"#
    )
}
