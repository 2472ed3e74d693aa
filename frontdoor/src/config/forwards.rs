//! The `forwards` of the configuration: what connections into pods (`ssh -L` and the like) may reach.

use std::net::IpAddr;

use podgate_identity::addresses::Addresses;
use podgate_process::config::Invalid;
use podgate_proto::limits::METADATA;
use serde::Deserialize;

/// Checked settings. Each field is explained in `frontdoor.example.yaml`.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "frontdoor.example.yaml has them")]
pub struct Forwards {
    pub host_network: bool,
    pub exec_suffices: bool,
    /// As they are configured, for the agents.
    pub(crate) refuse: Vec<String>,
    refused: Addresses,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    host_network: bool,
    exec_suffices: bool,
    refuse: Vec<String>,
}

impl File {
    pub(super) fn check(self) -> Result<Forwards, Invalid> {
        let mut refused = METADATA.join(",");
        for network in &self.refuse {
            refused.push(',');
            refused.push_str(network);
        }
        let refused = Addresses::networks(&refused);
        let refused =
            refused.map_err(|error| Invalid::new("forwards.refuse", error.to_string()))?;
        Ok(Forwards {
            host_network: self.host_network,
            exec_suffices: self.exec_suffices,
            refuse: self.refuse,
            refused,
        })
    }
}

impl Forwards {
    /// Whether nobody may connect to this address, however it is written.
    pub(crate) fn refuses(&self, address: IpAddr) -> bool {
        self.refused.fit(address)
    }
}

#[cfg(test)]
impl Default for Forwards {
    fn default() -> Self {
        File::default().check().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_added_to_the_metadata_services() {
        let file = |refuse: &[&str]| File {
            refuse: refuse.iter().map(|&network| network.to_owned()).collect(),
            ..File::default()
        };
        let forwards = file(&["10.0.0.0/8", "fd00::/16"]).check().unwrap();
        for (address, refused) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("fd00::1", true),
            ("169.254.169.254", true),
            ("fd00:ec2::254", true),
            ("11.0.0.1", false),
            ("169.254.169.253", false),
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(forwards.refuses(parsed), refused, "{address}");
        }
        let error = file(&["somewhere"]).check().err().unwrap().to_string();
        assert!(error.contains("forwards.refuse: "), "{error}");
    }
}
