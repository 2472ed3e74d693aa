//! The image most pods have: Debian's static busybox under each of its names.

use std::process::Command;

use anyhow::{Context, ensure};

use super::archive::Layer;

const BUSYBOX: &str = "/bin/busybox";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
svc:x:1001:1001:svc:/nonexistent:/sbin/nologin
";
const GROUP: &str = "root:x:0:\ntty:x:5:\napp:x:1000:\nsvc:x:1001:\n";

pub(super) fn layer() -> anyhow::Result<Layer> {
    let program = std::fs::read(BUSYBOX).context("/bin/busybox, of the package busybox-static")?;
    let listed = Command::new(BUSYBOX).arg("--list").output()?;
    ensure!(listed.status.success(), "busybox --list: {}", listed.status);

    let mut layer = Layer::default();
    for directory in [
        "bin", "dev", "etc", "home", "proc", "root", "sbin", "srv", "sys",
    ] {
        layer.directory(directory, 0o755, 0);
    }
    layer.directory("home/app", 0o755, 1000);
    layer.directory("tmp", 0o1777, 0);
    layer.file("etc/passwd", 0o644, PASSWD);
    layer.file("etc/group", 0o644, GROUP);
    layer.file("bin/busybox", 0o755, program);
    for applet in String::from_utf8(listed.stdout)?.lines() {
        if applet != "busybox" {
            layer.link(&format!("bin/{applet}"), "busybox");
        }
    }
    // passwd and scripts name this one by its usual path.
    layer.link("sbin/nologin", "../bin/busybox");
    Ok(layer)
}
