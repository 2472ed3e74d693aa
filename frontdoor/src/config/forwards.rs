//! The `forwards` of the configuration: what connections into pods (`ssh -L` and the like) may reach, and
//! where pods listen (`ssh -R`).

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
    pub gateway_ports: GatewayPorts,
    pub unlink_sockets: bool,
    /// As they are configured, for the agents.
    pub(crate) refuse: Vec<String>,
    refused: Addresses,
}

/// At which of a pod's addresses `ssh -R` may listen (sshd's GatewayPorts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayPorts {
    /// At its loopback, whatever is asked for. Helm writes no and yes as booleans.
    #[default]
    #[serde(alias = "false")]
    No,
    /// At all of them, whatever is asked for.
    #[serde(alias = "true")]
    Yes,
    /// At what is asked for.
    ClientSpecified,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    host_network: bool,
    exec_suffices: bool,
    gateway_ports: GatewayPorts,
    unlink_sockets: bool,
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
            gateway_ports: self.gateway_ports,
            unlink_sockets: self.unlink_sockets,
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
    fn gateway_ports_are_those_of_sshd() {
        let read = |text: &str| {
            let file = podgate_process::config::parse::<File>(&format!("gatewayPorts: {text}"));
            file.map(|file| file.gateway_ports).ok()
        };
        assert_eq!(read("no"), Some(GatewayPorts::No));
        assert_eq!(read("yes"), Some(GatewayPorts::Yes));
        assert_eq!(read("false"), Some(GatewayPorts::No));
        assert_eq!(read("true"), Some(GatewayPorts::Yes));
        let specified = Some(GatewayPorts::ClientSpecified);
        assert_eq!(read("clientspecified"), specified);
        assert_eq!(read("maybe"), None);
    }

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
