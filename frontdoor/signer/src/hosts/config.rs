//! The section `hosts` of the signer's configuration.

use std::time::Duration;

use podgate_process::config::Invalid;
use serde::Deserialize;

use crate::ssh_ca::{self, MAX_PRINCIPALS};

/// A checked section. Each field is explained in `signer.example.yaml`.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(super) ca: ssh_ca::Ca,
    pub(super) names: Vec<String>,
    pub(super) lifetime: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct File {
    ca: ssh_ca::File,
    names: Vec<String>,
    #[serde(default = "default_lifetime")]
    lifetime_seconds: u32,
}

fn default_lifetime() -> u32 {
    7 * 24 * 60 * 60
}

impl File {
    /// Checks the section. `enrolment` is the lifetime of a frontdoor's own certificate: it asks for
    /// another host certificate only when it renews that one.
    pub(crate) fn check(self, enrolment: Duration) -> Result<Config, Invalid> {
        let wrong = |reason: String| Err(Invalid::new("hosts.names", reason));
        if self.names.is_empty() || self.names.len() > MAX_PRINCIPALS {
            return wrong(format!("needs 1 to {MAX_PRINCIPALS} names"));
        }
        if let Some(name) = self.names.iter().find(|name| !is_name(name)) {
            return wrong(format!("{name:?} is not a host name or an address"));
        }
        let lifetime = Duration::from_secs(u64::from(self.lifetime_seconds));
        if lifetime < enrolment {
            let reason = "must be at least enrolment.lifetimeSeconds";
            return Err(Invalid::new("hosts.lifetimeSeconds", reason));
        }
        Ok(Config {
            ca: self.ca.check("hosts.ca")?,
            names: self.names,
            lifetime,
        })
    }
}

/// Whether ssh could look for it: a name, an address, `[name]:port`, or a pattern of them.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'!' | b'"' | b'\\');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let check = |yaml: &str, expect: &str| {
            let file: File = serde_saphyr::from_str(yaml).unwrap();
            let found = file.check(Duration::from_secs(60));
            let found = found.err().map(|invalid| invalid.to_string());
            let found = found.unwrap_or_default();
            assert!(found.contains(expect), "{yaml} gave {found:?}");
            assert_eq!(found.is_empty(), expect.is_empty(), "{yaml} gave {found:?}");
        };
        let all = |names: &str, more: &str| format!("{{ca: {{file: /c}}, names: {names}{more}}}");
        check(&all("[a.example, 192.0.2.7, '[a]:2222', '*.pod']", ""), "");
        check(&all("[a]", ", lifetimeSeconds: 60"), "");
        check(&all("[]", ""), "hosts.names: needs 1");
        for name in ["a,b", "a b", "", "!a", "ä"] {
            check(&all(&format!("['{name}']"), ""), "hosts.names: ");
        }
        check(&all("[a]", ", lifetimeSeconds: 59"), "hosts.lifetimeS");
        check("{ca: {}, names: [a]}", "hosts.ca: needs one");
    }
}
