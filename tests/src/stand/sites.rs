//! Where the parts of a stand are: all on the loopback, or each on a network of its own.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::NODE_IP;
use crate::gateway::Part;
use crate::network::{Network, Site};

/// Addresses of the parts: all of the loopback, or each on a network of its own.
pub(super) struct Sites {
    pub(super) network: Option<Arc<Network>>,
    pub(super) frontdoor: String,
    pub(super) node: String,
    /// The stand-ins', as the frontdoor and the agent reach them.
    pub(super) api: String,
    pub(super) kubelet: String,
}

impl Sites {
    pub(super) fn of(network: Option<Arc<Network>>) -> Self {
        let ip = |site, stands_in: bool| match &network {
            None => NODE_IP.to_owned(),
            Some(network) if stands_in => network.gateway(site),
            Some(network) => network.address(site),
        };
        Self {
            frontdoor: ip(Site::Frontdoor, false),
            node: ip(Site::Node, false),
            api: ip(Site::Frontdoor, true),
            kubelet: ip(Site::Node, true),
            network,
        }
    }

    /// Starts the part of a site, with a configuration in a folder.
    pub(super) async fn part(&self, site: Site, dir: &Path, config: &str) -> Result<Part> {
        let path = dir.join(format!("{}.yaml", program(site)));
        std::fs::write(&path, config)?;
        let enter = self.network.as_ref().map(|network| network.enter(site));
        Part::start_in(&enter.unwrap_or_default(), program(site), &path).await
    }

    /// Starts it again with the configuration it had, on this port.
    pub(super) async fn again(&self, site: Site, dir: &Path, port: u16) -> Result<Part> {
        let config = std::fs::read_to_string(dir.join(format!("{}.yaml", program(site))))?;
        let ip = match site {
            Site::Node => &self.node,
            _ => &self.frontdoor,
        };
        let listen = |port: u16| format!("listen: {ip}:{port}\n");
        self.part(site, dir, &config.replace(&listen(0), &listen(port)))
            .await
    }
}

fn program(site: Site) -> &'static str {
    match site {
        Site::Node => "podgate-agent",
        Site::Frontdoor | Site::Client => "podgate-frontdoor",
    }
}
