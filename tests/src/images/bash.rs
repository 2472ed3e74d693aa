//! The image of a full userland: programs of this Debian with the libraries `ldd` finds for them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, anyhow, ensure};

use super::archive::Layer;
use super::programs::{copy, libraries};

/// Beside all of coreutils. Those from `vim.tiny` on may be missing.
const PROGRAMS: [&str; 19] = [
    "bash", "dash", "ps", "top", "kill", "pgrep", "pkill", "less", "setsid", "script", "find",
    "xargs", "grep", "sed", "getopt", "clear", "tput", "vim.tiny", "awk",
];
const OPTIONAL: [&str; 2] = ["vim.tiny", "awk"];
const TERMINALS: [&str; 4] = ["l/linux", "v/vt100", "x/xterm", "x/xterm-256color"];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash
app:x:1000:1000:app:/home/app:/bin/bash
";
const GROUP: &str = "root:x:0:\ntty:x:5:\napp:x:1000:\n";

pub(super) fn layer() -> anyhow::Result<Layer> {
    let mut layer = Layer::default();
    for directory in ["dev", "etc", "home", "proc", "root", "srv", "sys"] {
        layer.directory(directory, 0o755, 0);
    }
    layer.directory("home/app", 0o755, 1000);
    layer.directory("tmp", 0o1777, 0);
    // Debian's merged /usr: both the loader's path and `#!/bin/sh` go through these.
    for merged in ["bin", "lib", "lib64", "sbin"] {
        layer.link(merged, &format!("usr/{merged}"));
    }
    layer.file("etc/passwd", 0o644, PASSWD);
    layer.file("etc/group", 0o644, GROUP);
    layer.link("usr/bin/sh", "dash");
    layer.link("usr/bin/vi", "vim.tiny");

    let mut programs = coreutils()?;
    for name in PROGRAMS {
        match located(name) {
            Some(path) => programs.push(path),
            None if OPTIONAL.contains(&name) => {}
            None => return Err(anyhow!("{name} is not installed")),
        }
    }
    for program in &programs {
        copy(&mut layer, program)?;
    }
    for library in libraries(&programs)? {
        copy(&mut layer, &library)?;
    }
    for terminal in TERMINALS {
        copy(&mut layer, &format!("/lib/terminfo/{terminal}"))?;
    }
    Ok(layer)
}

/// The paths of coreutils' programs; what dpkg lists among them that is no program (a link, a
/// manual page) is left out by its folder.
fn coreutils() -> anyhow::Result<Vec<String>> {
    let listed = Command::new("dpkg")
        .args(["-L", "coreutils"])
        .output()
        .context("dpkg")?;
    ensure!(
        listed.status.success(),
        "dpkg -L coreutils: {}",
        listed.status
    );
    Ok(String::from_utf8(listed.stdout)?
        .lines()
        .filter(|path| path.starts_with("/bin/") || path.starts_with("/usr/bin/"))
        .map(str::to_owned)
        .collect())
}

fn located(name: &str) -> Option<String> {
    ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| Path::new(path).exists())
}
