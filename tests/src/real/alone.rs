//! Namespaces of its own for a command: a network with nothing but a loopback device, in which the ports
//! that a machine commonly has in use are taken, and a view of the machine's files in which the folders
//! of its services cannot be written to. What runs there can rely on no port and no path of the machine.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount, mount_bind_recursive, mount_remount};
use rustix::net::{AddressFamily, SocketType, bind, socket};

/// Ports of sshd, web servers, a store, Kubernetes' parts and Podgate's own.
const PORTS: [u16; 21] = [
    22, 80, 443, 2222, 2379, 2380, 5432, 6443, 7443, 8080, 8443, 8444, 9090, 10248, 10249, 10250,
    10255, 10256, 10257, 10258, 10259,
];
/// Where services of a machine keep their state and their settings.
const FOLDERS: [&str; 3] = ["/run", "/var/lib", "/etc"];
/// Where every containerd of a machine writes, whatever its configuration says. These are empty, and go
/// with the namespace.
const SHARED: [&str; 2] = ["/run/containerd", "/var/lib/cni"];

/// What is taken for as long as this lives.
#[derive(Debug)]
pub struct Held {
    _ports: Vec<OwnedFd>,
}

/// A program in new namespaces, which gets `word`, the name of the namespace that it is no longer in, and
/// `words`. Root is needed.
///
/// # Errors
/// When /proc does not tell the namespace.
pub fn within(program: &Path, word: &str, words: &[OsString]) -> Result<Command> {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(program)
        .args([OsStr::new(word), namespace()?.as_os_str()])
        .args(words);
    Ok(command)
}

/// The namespace of this process's mounts.
fn namespace() -> Result<PathBuf> {
    std::fs::read_link("/proc/self/ns/mnt").context("the namespace of mounts")
}

/// Sets up the namespaces that this process is in. They are not those of `outside`.
///
/// # Errors
/// When they are, or the machine cannot.
pub fn hold(outside: &OsStr) -> Result<Held> {
    ensure!(
        namespace()? != outside,
        "these are the machine's own mounts"
    );
    for folder in SHARED {
        std::fs::create_dir_all(folder).context(folder)?;
    }
    let used = in_use();
    for folder in FOLDERS {
        // Someone's home or temporary folder may be in one of them.
        if !used.iter().any(|path| path.starts_with(folder)) {
            mount_bind_recursive(folder, folder).context(folder)?;
            let flags = MountFlags::BIND | MountFlags::RDONLY;
            mount_remount(folder, flags, "").context(folder)?;
        }
    }
    for folder in SHARED {
        mount("none", folder, "tmpfs", MountFlags::empty(), c"mode=711").context(folder)?;
    }
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    ensure!(up.context("ip")?.success(), "the loopback device");
    let ports = PORTS.into_iter().map(taken).collect::<Result<_>>()?;
    Ok(Held { _ports: ports })
}

/// Folders that the command writes to.
fn in_use() -> Vec<PathBuf> {
    let named = ["HOME", "CARGO_HOME", "CARGO_TARGET_DIR"].map(std::env::var_os);
    let named = named.into_iter().flatten().map(PathBuf::from);
    let current = std::env::current_dir();
    named.chain(current).chain([std::env::temp_dir()]).collect()
}

/// Takes a port at every address. Nothing listens there, so connecting is refused as before.
fn taken(port: u16) -> Result<OwnedFd> {
    let at = |family, address: SocketAddr| {
        let socket = socket(family, SocketType::STREAM, None)?;
        bind(&socket, &address).map(|()| socket)
    };
    // Both versions of IP, if the machine has both.
    at(AddressFamily::INET6, (Ipv6Addr::UNSPECIFIED, port).into())
        .or_else(|_| at(AddressFamily::INET, (Ipv4Addr::UNSPECIFIED, port).into()))
        .with_context(|| format!("port {port}"))
}
