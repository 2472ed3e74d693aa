//! Readiness, asked for as the kubelet does: over the pod's network, by its probes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::instruments::eventually::eventually;

/// For a pod to come to be ready.
const READY: Duration = Duration::from_secs(60);

/// Waits until all containers are ready; the logs are in case they do not come to be.
pub(super) async fn ready(pod: &core::PodSpec, address: &str, logs: &Path) -> Result<()> {
    for container in &pod.containers {
        let Some(probe) = &container.readiness_probe else {
            continue;
        };
        let http = probe.http_get.as_ref();
        let http = http.with_context(|| format!("{}: no httpGet probe", container.name))?;
        let port = port(&http.port, container)?;
        let path = http.path.clone().unwrap_or_default();
        let look = || async { asks(address, port, &path).await.ok().filter(|yes| *yes) };
        if eventually("readiness", READY, look).await.is_err() {
            return Err(anyhow!(
                "container {} is not ready at {address}:{port}{path}:\n{}",
                container.name,
                said(logs)
            ));
        }
    }
    Ok(())
}

fn port(port: &IntOrString, container: &core::Container) -> Result<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let mut named = ports.filter(|port| port.name.as_ref() == Some(name));
            let found = named.next().with_context(|| format!("no port {name}"))?;
            found.container_port
        }
    };
    Ok(u16::try_from(number)?)
}

/// Whether the answer's status is a success.
async fn asks(address: &str, port: u16, path: &str) -> Result<bool> {
    let mut stream = TcpStream::connect((address, port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let Some(status) = answer.split(' ').nth(1) else {
        bail!("no HTTP status");
    };
    Ok(status.starts_with('2'))
}

/// What all containers have written.
fn said(logs: &Path) -> String {
    let files = std::fs::read_dir(logs).into_iter().flatten().flatten();
    let texts = files.map(|file| {
        let text = std::fs::read_to_string(file.path()).unwrap_or_default();
        format!("{}:\n{text}", file.file_name().display())
    });
    texts.collect::<Vec<_>>().join("\n")
}
