//! The `kubelet` of the configuration: where it is, and by what both sides are trusted.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use podgate_process::config::Invalid;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use crate::runtime::kubelet::{ClientFiles, Config, Trust};

/// The port that kubelets listen on by default.
const PORT: u16 = 10250;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    url: Option<String>,
    server_name: Option<String>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    #[serde(default)]
    insecure_skip_verify: bool,
    token_file: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl File {
    /// `host_ip` is the environment's HOST_IP.
    pub(super) fn check(self, host_ip: Option<&str>) -> Result<Config, Invalid> {
        let (host, port) = match &self.url {
            Some(url) => address(url).map_err(|reason| Invalid::new("kubelet.url", reason))?,
            None => match host_ip.map(str::parse) {
                Some(Ok(host)) => (host, PORT),
                Some(Err(_)) => {
                    let reason = "is absent, and the environment's HOST_IP is no IP address";
                    return Err(Invalid::new("kubelet.url", reason));
                }
                None => {
                    let reason = "is absent, and so is the environment's HOST_IP";
                    return Err(Invalid::new("kubelet.url", reason));
                }
            },
        };
        let trust = match (self.ca, self.certificate, self.insecure_skip_verify) {
            (Some(ca), None, false) => Trust::Ca(ca),
            (None, Some(certificate), false) => Trust::Certificate(certificate),
            (None, None, true) => Trust::Anything,
            _ => {
                let reason = "needs exactly one of ca, certificate and insecureSkipVerify";
                return Err(Invalid::new("kubelet", reason));
            }
        };
        let name = self.server_name.unwrap_or_else(|| host.to_string());
        let server_name = ServerName::try_from(name.clone()).map_err(|_| {
            Invalid::new(
                "kubelet.serverName",
                format!("{name:?} is neither a DNS name nor an IP"),
            )
        })?;
        let client = match (self.cert, self.key) {
            (Some(cert), Some(key)) => Some(ClientFiles { cert, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Invalid::new("kubelet.key", "is absent, but cert is given"));
            }
            (None, Some(_)) => {
                return Err(Invalid::new("kubelet.cert", "is absent, but key is given"));
            }
        };
        if client.is_none() && self.token_file.is_none() {
            return Err(Invalid::new("kubelet", "needs tokenFile, or cert and key"));
        }
        Ok(Config {
            address: SocketAddr::new(host, port).to_string(),
            server_name,
            trust,
            token_file: self.token_file,
            client,
        })
    }
}

/// Static binaries have no name resolution to rely on, and the kubelet is on this very node: the
/// host is an address.
fn address(url: &str) -> Result<(IpAddr, u16), String> {
    let bad = |reason: &str| format!("{url:?} {reason}");
    let parsed: http::Uri = url.parse().map_err(|_| bad("is no URL"))?;
    let host = parsed.host().unwrap_or_default().trim_matches(['[', ']']);
    if parsed.scheme_str() != Some("https") || host.is_empty() {
        return Err(bad("is no https:// URL"));
    }
    if !matches!(parsed.path(), "" | "/") || parsed.query().is_some() {
        return Err(bad("has a path"));
    }
    let host = host
        .parse()
        .map_err(|_| bad("must have an IP address for its host"))?;
    Ok((host, parsed.port_u16().unwrap_or(PORT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_and_whom_it_trusts() {
        let check = |yaml: &str, host_ip: Option<&str>| {
            let file: File = podgate_process::config::parse(yaml).unwrap();
            file.check(host_ip)
                .map(|config| (config.address, config.server_name, config.trust))
                .map_err(|invalid| invalid.to_string())
        };
        let name = |name: &'static str| ServerName::try_from(name).unwrap();
        let token = "tokenFile: t";
        for (yaml, host_ip, address, named, trust) in [
            (
                "ca: c",
                "10.0.0.1",
                "10.0.0.1:10250",
                "10.0.0.1",
                Trust::Ca("c".into()),
            ),
            (
                "certificate: k",
                "fd00::1",
                "[fd00::1]:10250",
                "fd00::1",
                Trust::Certificate("k".into()),
            ),
            (
                "insecureSkipVerify: true",
                "10.0.0.1",
                "10.0.0.1:10250",
                "10.0.0.1",
                Trust::Anything,
            ),
            (
                "{url: 'https://[::1]:1', serverName: n, ca: c",
                "10.0.0.1",
                "[::1]:1",
                "n",
                Trust::Ca("c".into()),
            ),
        ] {
            let yaml = match yaml.starts_with('{') {
                true => format!("{yaml}, {token}}}"),
                false => format!("{yaml}\n{token}"),
            };
            let expect = (address.to_owned(), name(named), trust);
            assert_eq!(check(&yaml, Some(host_ip)), Ok(expect), "{yaml}");
        }
        for (yaml, host_ip, expect) in [
            ("ca: c", None, "kubelet.url: "),
            ("ca: c", Some("node-a"), "kubelet.url: "),
            ("{}", Some("::1"), "kubelet: needs exactly one of"),
            (
                "{ca: c, certificate: k}",
                Some("::1"),
                "kubelet: needs exactly one of",
            ),
            (
                "{ca: c, insecureSkipVerify: true}",
                Some("::1"),
                "kubelet: needs exactly one of",
            ),
            ("ca: c", Some("::1"), "kubelet: needs tokenFile"),
        ] {
            let error = check(yaml, host_ip).err().unwrap_or_default();
            assert!(error.starts_with(expect), "{yaml} gave {error:?}");
        }
    }
}
