//! Looks for processes in /proc. A process that goes while it is looked at counts as gone.

use std::path::{Path, PathBuf};

/// The processes of a container that have not ended. A zombie has: where the container's first
/// process reaps nothing, as most do, it stays listed as long as the container.
pub(super) fn in_container(container_id: &str) -> Vec<(u32, String)> {
    all()
        .filter(|(_, proc)| read(&proc.join("cgroup")).contains(container_id) && !is_zombie(proc))
        .map(|(pid, proc)| (pid, command_line(&proc)))
        .collect()
}

/// containerd, its shims and runc, of the stand in `dir`: each has one of its paths among its
/// arguments. An editor that has the log open is none of them.
pub(super) fn serving(dir: &Path) -> Vec<u32> {
    let below = format!("{}/", dir.display());
    all()
        .filter(|(_, proc)| {
            let line = command_line(proc);
            let program = line.split(' ').next().unwrap_or_default();
            let program = program.rsplit('/').next().unwrap_or_default();
            ["containerd", "containerd-shim-runc-v2", "runc"].contains(&program)
                && line.contains(&below)
        })
        .map(|(pid, _)| pid)
        .collect()
}

fn all() -> impl Iterator<Item = (u32, PathBuf)> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
}

fn is_zombie(proc: &Path) -> bool {
    // proc(5): the state follows the name, which may hold any character, in parentheses.
    let stat = read(&proc.join("stat"));
    stat.rsplit_once(')')
        .is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

fn command_line(proc: &Path) -> String {
    read(&proc.join("cmdline"))
        .trim_end_matches('\0')
        .replace('\0', " ")
}

fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
