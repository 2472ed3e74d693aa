//! The steps of a start: the process, its first answer, the images.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::config::{self, Snapshotter};
use super::service::{runtime, socket};
use crate::fixtures::images::Image;
use crate::instruments::eventually::eventually;
use crate::real::cri::image_service_client::ImageServiceClient;
use crate::real::cri::{self, ImageSpec, ImageStatusRequest, VersionRequest};

/// A start takes one to two seconds on two cores; a busy machine may need many times that.
const START: Duration = Duration::from_secs(60);

/// Starts the process, its output going into a log beside its state.
pub(super) fn spawn(dir: &Path, snapshotter: Snapshotter) -> anyhow::Result<Child> {
    let config = config::write(dir, snapshotter).context("configuration")?;
    let log = File::create(log_path(dir)).context("containerd.log")?;
    Command::new("containerd")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("containerd, of the package of that name")
}

/// Waits until the CRI service answers, or the process has ended.
pub(super) async fn answering(dir: &Path, child: &mut Child) -> anyhow::Result<()> {
    let first = eventually("containerd to answer", START, || {
        let ended = child.try_wait().ok().flatten();
        async move {
            if ended.is_some() {
                return Some(ended);
            }
            let mut runtime = runtime(dir).await.ok()?;
            runtime.version(VersionRequest::default()).await.ok()?;
            Some(None)
        }
    })
    .await;
    match first {
        Ok(None) => Ok(()),
        Ok(Some(status)) => bail!("containerd ended: {status}; {}", log_tail(dir)),
        Err(late) => Err(late.context(log_tail(dir))),
    }
}

/// Imports the archive of images and waits until pods can be made of them.
pub(super) async fn import(
    dir: &Path,
    archive: &[u8],
    snapshotter: Snapshotter,
) -> anyhow::Result<()> {
    let path = dir.join("images.tar");
    tokio::fs::write(&path, archive).await?;
    let import = tokio::process::Command::new("ctr")
        .arg("--address")
        .arg(socket(dir))
        .args(["--namespace", "k8s.io", "images", "import"])
        .args(["--snapshotter", snapshotter.name()])
        .arg(&path)
        .kill_on_drop(true)
        .output()
        .await
        .context("ctr, of the package containerd")?;
    ensure!(
        import.status.success(),
        "ctr images import: {}",
        String::from_utf8_lossy(&import.stderr)
    );
    tokio::fs::remove_file(path).await?;
    // The CRI service learns of images by events of its own containerd.
    let channel = cri::connect(&socket(dir)).await?;
    for image in Image::ALL {
        eventually(image.reference(), START, || {
            let mut images = ImageServiceClient::new(channel.clone());
            let image = Some(ImageSpec {
                image: image.reference().to_owned(),
            });
            async move {
                let known = images
                    .image_status(ImageStatusRequest { image })
                    .await
                    .ok()?;
                known.into_inner().image
            }
        })
        .await?;
    }
    Ok(())
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("containerd.log")
}

/// The last lines of the log: its end holds the cause, its beginning a page of plugins.
fn log_tail(dir: &Path) -> String {
    let log = std::fs::read_to_string(log_path(dir)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let from = lines.len().saturating_sub(20);
    format!(
        "containerd.log:\n{}",
        lines.get(from..).unwrap_or_default().join("\n")
    )
}
