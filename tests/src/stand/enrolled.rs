//! A signer for a stand, and what agents and frontdoors need to enrol with it: its objects at the API
//! server, tokens as the kubelet projects them, and the bundle as the kubelet mounts it.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use crate::apiserver::{ApiServer, Token};
use crate::gateway::Part;
use crate::issuer::unsigned;

/// The namespace of all.
pub const NAMESPACE: &str = "podgate";
/// The name of the CA's Secret, and of the bundle's ConfigMap.
pub const CA: &str = "podgate-ca";
/// What tokens for the signer are for.
pub const AUDIENCE: &str = "podgate-enrolment";

/// What tests change of a signer; times are in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Until certificates expire.
    pub lifetime: u32,
    /// Before a new CA issues.
    pub spread: u32,
    /// Where the CA's key is.
    pub keys: Keys,
}

/// Where a CA's key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// In the Secret [`CA`], that the signer fills.
    Secret,
    /// In files `ca/tls.crt` and `ca/tls.key`, that [`write_ca`] writes.
    Files,
}

/// Long enough for nothing to be renewed in a test.
impl Default for Config {
    fn default() -> Self {
        Self {
            lifetime: 3600,
            spread: 600,
            keys: Keys::Secret,
        }
    }
}

/// Writes a new CA in place of the one before, as the kubelet does when a mounted Secret has changed:
/// both files at once. Returns its certificate.
///
/// # Errors
/// When it cannot be made or written.
pub fn write_ca(dir: &Path) -> Result<String> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key)?.pem();
    let data = tempfile::Builder::new().prefix("ca-").tempdir_in(dir)?;
    let data = data.keep();
    std::fs::write(data.join("tls.crt"), &cert)?;
    std::fs::write(data.join("tls.key"), key.serialize_pem())?;
    let link = dir.join("ca.draft");
    std::os::unix::fs::symlink(data, &link)?;
    std::fs::rename(link, dir.join("ca"))?;
    Ok(cert)
}

/// A token of a part's ServiceAccount, bound to a pod on a node.
pub fn token(account: &str, node: &str) -> Token {
    let claim = |name: &str| format!("authentication.kubernetes.io/{name}");
    Token::service_account(NAMESPACE, account)
        .audience(AUDIENCE)
        .extra(&claim("pod-name"), &[&format!("{account}-x")])
        .extra(&claim("pod-uid"), &["4b6b8b5e"])
        .extra(&claim("node-name"), &[node])
}

/// Makes the API server's objects, and mounts the bundle.
///
/// # Errors
/// When the folder cannot be made.
pub fn prepare(api: &ApiServer, dir: &Path) -> Result<()> {
    let bundle = dir.join("bundle");
    std::fs::create_dir_all(&bundle)?;
    api.add_object("secrets", NAMESPACE, CA);
    api.add_object("configmaps", NAMESPACE, CA);
    api.mount("configmaps", NAMESPACE, CA, &bundle);
    Ok(())
}

/// Starts a signer on this port; its configuration is `signer.yaml` of the folder.
///
/// # Errors
/// When it does not start.
pub async fn signer(dir: &Path, port: u16, changes: Config) -> Result<Part> {
    let keys = match changes.keys {
        Keys::Secret => format!("secret: {{namespace: {NAMESPACE}, name: {CA}}}"),
        Keys::Files => format!(
            "files: {{cert: '{0}/ca/tls.crt', key: '{0}/ca/tls.key'}}",
            dir.display()
        ),
    };
    let config = format!(
        "listen: 127.0.0.1:{port}\nadmin: 127.0.0.1:0\nkubeconfig: '{dir}/kubeconfig'\n\
         ca: {{{keys}, spreadSeconds: {spread}}}\n\
         bundle: {{namespace: {NAMESPACE}, name: {CA}}}\n\
         enrolment:\n  agents: {{namespace: {NAMESPACE}, serviceAccount: agent}}\n  \
         frontdoors: {{namespace: {NAMESPACE}, serviceAccount: frontdoor}}\n  \
         lifetimeSeconds: {lifetime}\n\
         log: {{format: json, level: 'info,podgate_signer=debug'}}\n",
        dir = dir.display(),
        spread = changes.spread,
        lifetime = changes.lifetime,
    );
    let path = dir.join("signer.yaml");
    std::fs::write(&path, config)?;
    Part::start("podgate-signer", &path).await
}

/// Gives a part's pod a token, and the lines of its configuration.
///
/// # Errors
/// When the token cannot be written.
pub fn part(
    api: &ApiServer,
    dir: &Path,
    signer: &Part,
    account: &str,
    node: &str,
) -> Result<String> {
    let bearer = bearer(account);
    api.add_token(&bearer, token(account, node));
    let file = dir.join(format!("{account}-token"));
    std::fs::write(&file, &bearer).with_context(|| file.display().to_string())?;
    Ok(format!(
        "enrolment: {{signer: 'https://127.0.0.1:{port}', ca: '{dir}/bundle/ca.crt', \
         tokenFile: '{file}'}}\n",
        port = signer.port(),
        dir = dir.display(),
        file = file.display(),
    ))
}

/// The token that [`part`] gives.
pub fn bearer(account: &str) -> String {
    unsigned(&json!({"aud": [AUDIENCE], "sub": account}))
}
