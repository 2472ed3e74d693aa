//! The section `desk` of the signer's configuration. An issuer's settings have the names and meanings
//! of kube-apiserver's `--oidc-*` flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use jsonwebtoken::Algorithm;
use podgate_identity::Names;
use podgate_identity::kubernetes::token_claims::own_audience;
use podgate_process::bounds::{self, Bounds};
use podgate_process::config::Invalid;
use podgate_process::https;
use serde::Deserialize;

use super::issue::{Permit, Terms};
use super::oidc;
use crate::ssh_ca;

/// A checked section. Each field is explained in `signer.example.yaml`.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(super) listen: SocketAddr,
    pub(super) tls: https::Files,
    pub(super) ca: ssh_ca::Ca,
    pub(crate) audience: String,
    pub(super) terms: Terms,
    pub(super) each_a_minute: u32,
    pub(super) all_a_minute: u32,
    pub(super) refused_a_minute: u32,
    pub(super) connections: Bounds,
    pub(super) oidc: Vec<oidc::Config>,
}

/// The default for the desk's `connections`, apart from enrolment's. Users may all come from one
/// address, that of a load balancer.
const CONNECTIONS: Bounds = Bounds {
    total: 512,
    per_address: 128,
    per_second_and_address: 20,
    seconds: 20,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct File {
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    tls: https::Files,
    ca: ssh_ca::File,
    #[serde(default = "default_audience")]
    audience: String,
    #[serde(default = "default_lifetime")]
    lifetime_seconds: u32,
    #[serde(default = "default_permit")]
    permit: Vec<String>,
    #[serde(default = "default_each")]
    per_minute_and_identity: u32,
    #[serde(default = "default_all")]
    per_minute: u32,
    #[serde(default = "default_refused")]
    refused_per_minute_and_address: u32,
    #[serde(default)]
    connections: bounds::File,
    #[serde(default)]
    oidc: Vec<IssuerFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IssuerFile {
    #[serde(rename = "issuerURL")]
    issuer_url: String,
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(default = "default_username_claim")]
    username_claim: String,
    username_prefix: Option<String>,
    groups_claim: Option<String>,
    #[serde(default)]
    groups_prefix: String,
    #[serde(default)]
    required_claims: BTreeMap<String, String>,
    #[serde(default = "default_algorithms")]
    signing_algs: Vec<String>,
    ca_file: Option<PathBuf>,
}

fn default_listen() -> SocketAddr {
    ([0, 0, 0, 0], 8444).into()
}

fn default_audience() -> String {
    "podgate".to_owned()
}

fn default_lifetime() -> u32 {
    3600
}

fn default_permit() -> Vec<String> {
    let all = Permit::ALL.iter();
    all.map(|permit| permit.as_str().to_owned()).collect()
}

fn default_each() -> u32 {
    30
}

fn default_all() -> u32 {
    1200
}

fn default_refused() -> u32 {
    60
}

fn default_username_claim() -> String {
    "sub".to_owned()
}

fn default_algorithms() -> Vec<String> {
    vec!["RS256".to_owned()]
}

impl File {
    /// Checks the section. An error names the key.
    pub(crate) fn check(self) -> Result<Config, Invalid> {
        let ca = self.ca.check("desk.ca")?;
        own_audience(&self.audience).map_err(|reason| Invalid::new("desk.audience", reason))?;
        for (key, number) in [
            ("desk.lifetimeSeconds", self.lifetime_seconds),
            ("desk.perMinuteAndIdentity", self.per_minute_and_identity),
            ("desk.perMinute", self.per_minute),
            (
                "desk.refusedPerMinuteAndAddress",
                self.refused_per_minute_and_address,
            ),
        ] {
            if number == 0 {
                return Err(Invalid::new(key, "must be at least 1"));
            }
        }
        let permit = self.permit.iter().map(|word| {
            let found = Permit::ALL.into_iter().find(|one| one.as_str() == word);
            found
                .ok_or_else(|| Invalid::new("desk.permit", format!("{word:?} cannot be permitted")))
        });
        let issuers: Vec<_> = self
            .oidc
            .into_iter()
            .map(IssuerFile::check)
            .collect::<Result<_, _>>()?;
        let twice = |(n, one): (usize, &oidc::Config)| {
            let mut before = issuers.iter().take(n);
            before.any(|other| other.issuer == one.issuer)
        };
        if issuers.iter().enumerate().any(twice) {
            let reason = "is listed twice; a token names only its issuer".to_owned();
            return Err(Invalid::new("desk.oidc.issuerURL", reason));
        }
        Ok(Config {
            listen: self.listen,
            tls: self.tls,
            ca,
            audience: self.audience,
            terms: Terms {
                lifetime: u64::from(self.lifetime_seconds),
                permit: permit.collect::<Result<_, _>>()?,
            },
            each_a_minute: self.per_minute_and_identity,
            all_a_minute: self.per_minute,
            refused_a_minute: self.refused_per_minute_and_address,
            connections: self.connections.or(CONNECTIONS),
            oidc: issuers,
        })
    }
}

impl IssuerFile {
    fn check(self) -> Result<oidc::Config, Invalid> {
        let url = &self.issuer_url;
        if !url.starts_with("https://") || url.contains(['?', '#', '@']) {
            let reason = format!("{url:?} must be an https URL without user, query and fragment");
            return Err(Invalid::new("desk.oidc.issuerURL", reason));
        }
        for (key, text) in [
            ("desk.oidc.clientID", Some(&self.client_id)),
            ("desk.oidc.usernameClaim", Some(&self.username_claim)),
            ("desk.oidc.groupsClaim", self.groups_claim.as_ref()),
        ] {
            if text.is_some_and(String::is_empty) {
                return Err(Invalid::new(key, "is empty"));
            }
        }
        let algorithms = self.signing_algs.iter().map(|word| {
            let found = algorithm(word);
            found.ok_or_else(|| {
                let reason = format!(
                    "{word:?} must be RS256, RS384, RS512, PS256, PS384, PS512, ES256 or ES384"
                );
                Invalid::new("desk.oidc.signingAlgs", reason)
            })
        });
        let algorithms: Vec<_> = algorithms.collect::<Result<_, _>>()?;
        if algorithms.is_empty() {
            return Err(Invalid::new("desk.oidc.signingAlgs", "is empty"));
        }
        // As in kube-apiserver: `sub` is unique only at its issuer, an e-mail address everywhere.
        let user_prefix = match self.username_prefix {
            Some(prefix) if prefix == "-" => String::new(),
            Some(prefix) if !prefix.is_empty() => prefix,
            _ if self.username_claim == "email" => String::new(),
            _ => format!("{url}#"),
        };
        Ok(oidc::Config {
            mapping: oidc::Mapping {
                username_claim: self.username_claim,
                groups_claim: self.groups_claim,
                required: self.required_claims,
                names: Names {
                    user_prefix,
                    group_prefix: self.groups_prefix,
                    trust_system: false,
                },
            },
            issuer: self.issuer_url,
            client: self.client_id,
            algorithms,
            ca: self.ca_file,
        })
    }
}

/// The implemented ones of kube-apiserver's `--oidc-signing-algs`.
fn algorithm(word: &str) -> Option<Algorithm> {
    match word {
        "RS256" => Some(Algorithm::RS256),
        "RS384" => Some(Algorithm::RS384),
        "RS512" => Some(Algorithm::RS512),
        "PS256" => Some(Algorithm::PS256),
        "PS384" => Some(Algorithm::PS384),
        "PS512" => Some(Algorithm::PS512),
        "ES256" => Some(Algorithm::ES256),
        "ES384" => Some(Algorithm::ES384),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rest: &str) -> Result<Config, String> {
        let yaml = format!("tls: {{cert: /c, key: /k}}\nca: {{file: /ca}}\n{rest}");
        let file: File = serde_saphyr::from_str(&yaml).map_err(|error| error.to_string())?;
        file.check().map_err(|invalid| invalid.to_string())
    }

    fn issuer(rest: &str) -> Result<Config, String> {
        let line = "issuerURL: 'https://idp/x', clientID: podgate";
        check(&format!("oidc: [{{{line}, {rest}}}]"))
    }

    #[test]
    fn a_user_has_the_prefix_that_kube_apiserver_gives() {
        let check = |rest: &str, expect: &str| {
            let config = issuer(rest).unwrap();
            let names = &config.oidc[0].mapping.names;
            assert_eq!(names.user_prefix, expect, "{rest}");
            assert!(!names.trust_system);
        };
        check("", "https://idp/x#");
        check("usernameClaim: name", "https://idp/x#");
        check("usernameClaim: email", "");
        check("usernameClaim: email, usernamePrefix: 'a:'", "a:");
        check("usernamePrefix: 'a:'", "a:");
        check("usernamePrefix: '-'", "");
        check("usernamePrefix: ''", "https://idp/x#");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |found: Result<Config, String>, expect: &str| {
            let error = found.err().unwrap_or_default();
            assert!(error.contains(expect), "{error:?} is not {expect:?}");
        };
        assert!(check("").is_ok());
        error(check("audience: ''"), "desk.audience: ");
        let server = "https://kubernetes.default.svc.cluster.local";
        error(check(&format!("audience: '{server}'")), "desk.audience: ");
        error(check("lifetimeSeconds: 0"), "desk.lifetimeSeconds: ");
        error(check("perMinute: 0"), "desk.perMinute: ");
        error(check("refusedPerMinuteAndAddress: 0"), "desk.refused");
        error(check("connections: {total: 0}"), "total");
        error(check("permit: [x11]"), "desk.permit: \"x11\"");
        for word in ["none", "HS256", "ES512", "EdDSA", "rs256"] {
            error(issuer(&format!("signingAlgs: [{word}]")), "signingAlgs: ");
        }
        error(issuer("signingAlgs: []"), "signingAlgs: is empty");
        error(issuer("groupsClaim: ''"), "groupsClaim: ");
        error(issuer("userClaim: x"), "userClaim");
        for url in ["http://idp", "https://a@idp", "https://idp?x", "idp"] {
            let line = format!("oidc: [{{issuerURL: '{url}', clientID: a}}]");
            error(check(&line), "issuerURL: ");
        }
        let one = "{issuerURL: 'https://idp', clientID: a}";
        error(check(&format!("oidc: [{one}, {one}]")), "twice");
    }
}
