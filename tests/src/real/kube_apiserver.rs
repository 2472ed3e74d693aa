//! kube-apiserver, the program that `PODGATE_KUBE_APISERVER` names, over an etcd of its own: with RBAC,
//! a file of users, and keys for ServiceAccount tokens. No controllers run beside it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::KeyPair;
use tempfile::TempDir;

use super::daemon::{Daemon, named_by, on_free_port};
use super::etcd::Etcd;
use crate::fixtures::kubeconfig;
use crate::fixtures::pki::Pki;

/// Names the program.
pub const PROGRAM: &str = "PODGATE_KUBE_APISERVER";
/// The bearer token of a member of `system:masters`.
const ADMIN: &str = "stand-token";
/// The issuer of the tokens that it issues and accepts.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Whom it knows by a bearer token that never changes.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The bearer token.
    pub token: &'static str,
    /// The user's name.
    pub name: &'static str,
    /// Their groups; `system:authenticated` comes by itself.
    pub groups: &'static [&'static str],
}

/// One kube-apiserver; stops on drop, before its etcd.
#[derive(Debug)]
pub struct KubeApiserver {
    url: String,
    ca_pem: String,
    process: Daemon,
    _etcd: Etcd,
    _dir: TempDir,
}

impl KubeApiserver {
    /// Starts one with certificates of `pki`, and waits until it is ready.
    ///
    /// # Errors
    /// When `PODGATE_KUBE_APISERVER` is not set, or a program does not start.
    pub async fn start(pki: &Pki, users: &[User]) -> Result<Self> {
        named_by(PROGRAM)?;
        on_free_port(async |port| Self::start_at(port, pki, users).await).await
    }

    async fn start_at(port: u16, pki: &Pki, users: &[User]) -> Result<Self> {
        let etcd = Etcd::start().await?;
        let dir = tempfile::Builder::new()
            .prefix("podgate-apiserver-")
            .tempdir()?;
        let mut command = command(dir.path(), pki, users)?;
        command
            .arg(format!("--etcd-servers={}", etcd.url()))
            .arg(format!("--secure-port={port}"));
        let mut server = Self {
            url: format!("https://127.0.0.1:{port}"),
            ca_pem: pki.ca_pem(),
            process: Daemon::spawn("kube-apiserver", &mut command, dir.path())?,
            _etcd: etcd,
            _dir: dir,
        };
        let client = server.client().await?;
        let ready = async || {
            let request = Request::get("/readyz").body(Vec::new()).ok()?;
            client.request_text(request).await.ok()
        };
        server.process.until(ready).await?;
        Ok(server)
    }

    /// `https://127.0.0.1:<port>`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token of one who may do everything.
    pub fn token(&self) -> &'static str {
        ADMIN
    }

    /// A client who may do everything.
    ///
    /// # Errors
    /// When no client can be made.
    pub async fn client(&self) -> Result<Client> {
        let file = tempfile::NamedTempFile::new()?;
        kubeconfig::write(file.path(), &self.url, &self.ca_pem, ADMIN)?;
        let file = Kubeconfig::read_from(file.path())?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options).await?;
        Ok(Client::try_from(config)?)
    }
}

/// The command without its port and its etcd; its files are in `dir`.
fn command(dir: &Path, pki: &Pki, users: &[User]) -> Result<Command> {
    let write = |name: &str, text: &str| -> Result<String> {
        let path = dir.join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let server = pki.issue(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
    let accounts = KeyPair::generate()?;
    let signing = write("accounts.key", &accounts.serialize_pem())?;
    let verifying = write("accounts.pub", &accounts.public_key_pem())?;
    let admin = User {
        token: ADMIN,
        name: "stand",
        groups: &["system:masters"],
    };
    let users: Vec<_> = [&[admin], users].concat().iter().map(line).collect();
    let mut command = Command::new(named_by(PROGRAM)?);
    command.args([
        "--bind-address=127.0.0.1".to_owned(),
        // It would not choose to advertise the loopback.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        format!("--cert-dir={}", dir.display()),
        format!("--tls-cert-file={}", write("server.crt", &server.cert_pem)?),
        format!(
            "--tls-private-key-file={}",
            write("server.key", &server.key_pem)?
        ),
        format!("--client-ca-file={}", write("clients.crt", &pki.ca_pem())?),
        format!("--token-auth-file={}", write("users.csv", &users.concat())?),
        "--authorization-mode=RBAC".to_owned(),
        format!("--service-account-issuer={ISSUER}"),
        format!("--service-account-key-file={verifying}"),
        format!("--service-account-signing-key-file={signing}"),
        // Pods must stay as they were posted, and no controller makes ServiceAccounts.
        "--disable-admission-plugins=ServiceAccount,DefaultTolerationSeconds".to_owned(),
    ]);
    Ok(command)
}

/// A user's line: token, name, uid and groups (apiserver, `pkg/authentication/token/tokenfile`).
fn line(user: &User) -> String {
    let User {
        token,
        name,
        groups,
    } = user;
    format!("{token},{name},{name}-uid,\"{}\"\n", groups.join(","))
}
