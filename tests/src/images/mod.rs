//! Container images built in code from what this Debian machine has installed, since a test may
//! reach no registry. One docker-archive holds them all and is the same bytes each time.

mod archive;
mod bash;
mod busybox;
mod parts;
mod probe;
mod programs;

use anyhow::Context;
use serde_json::json;
use tokio::sync::OnceCell;

use archive::{Archive, Layer};

/// What each image that sets a PATH sets it to; Debian's and busybox's programs are all there.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// To be seen in a session: that the image's own environment reaches it.
const GREETING: &str = "GREETING=hello-from-image";

/// An image of the stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Image {
    /// Static busybox under all its names; users `root`, `app` (1000) and `svc` (1001, no login
    /// shell); starts in /srv.
    Busybox,
    /// Debian's bash, coreutils, procps, less and vim with their libraries and terminfo.
    Bash,
    /// One static program, `/probe`; no shell, no passwd, nothing else.
    Static,
    /// The sandbox's own: `/probe pause`.
    Pause,
    /// No program: an empty file for each of Podgate's own binaries, and their libraries.
    Parts,
}

impl Image {
    /// Every image of the archive.
    pub const ALL: [Self; 5] = [
        Self::Busybox,
        Self::Bash,
        Self::Static,
        Self::Pause,
        Self::Parts,
    ];

    /// The full name, as a pod's status shows it.
    #[must_use]
    pub fn reference(self) -> &'static str {
        match self {
            Self::Busybox => "docker.io/podgate-stand/busybox:1",
            Self::Bash => "docker.io/podgate-stand/bash:1",
            Self::Static => "docker.io/podgate-stand/static:1",
            Self::Pause => "docker.io/podgate-stand/pause:1",
            Self::Parts => "docker.io/podgate-stand/parts:1",
        }
    }

    /// The `config` object of the image, as docker names its fields.
    fn config(self) -> serde_json::Value {
        match self {
            Self::Busybox => json!({
                "Env": [PATH, GREETING], "Cmd": ["/bin/sleep", "infinity"], "WorkingDir": "/srv",
            }),
            Self::Bash => json!({
                "Env": [PATH, GREETING], "Cmd": ["/bin/sleep", "infinity"], "WorkingDir": "/",
            }),
            Self::Static => json!({ "Cmd": ["/probe", "sleep"], "WorkingDir": "/" }),
            Self::Pause => json!({ "Cmd": ["/probe", "pause"], "WorkingDir": "/" }),
            Self::Parts => json!({ "WorkingDir": "/" }),
        }
    }
}

/// The archive of all images. The first caller of a process builds it, in about a second; tests
/// that start a containerd each share it.
///
/// # Errors
/// A program to be copied is not installed; the text names it.
pub async fn archive() -> anyhow::Result<&'static [u8]> {
    static BUILT: OnceCell<Vec<u8>> = OnceCell::const_new();
    let built = BUILT.get_or_try_init(|| async { tokio::task::spawn_blocking(build).await? });
    Ok(built.await?.as_slice())
}

fn build() -> anyhow::Result<Vec<u8>> {
    let probe = probe::compile()?;
    let mut archive = Archive::default();
    for image in Image::ALL {
        let layer = match image {
            Image::Busybox => busybox::layer(),
            Image::Bash => bash::layer(),
            Image::Parts => parts::layer(),
            Image::Static | Image::Pause => {
                let mut layer = Layer::default();
                layer.file("probe", 0o755, probe.clone());
                Ok(layer)
            }
        };
        layer
            .and_then(|layer| archive.add(image.reference(), &image.config(), layer))
            .with_context(|| format!("image {}", image.reference()))?;
    }
    archive.finish()
}
