//! Networks of their own for the client, the frontdoor and the node (network namespaces, joined by this
//! machine's forwarding), so that a link can go silent: packets are dropped, and nobody says so.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// How many may be there at once.
const NETWORKS: u8 = 60;

/// Who has a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The user's machine.
    Client,
    /// The frontdoor's pod.
    Frontdoor,
    /// The agent's node.
    Node,
}

impl Site {
    const ALL: [Self; 3] = [Self::Client, Self::Frontdoor, Self::Node];

    fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Frontdoor => "frontdoor",
            Self::Node => "node",
        }
    }
}

/// The three networks; gone on drop. Root is needed.
#[derive(Debug)]
pub struct Network {
    number: u8,
}

impl Network {
    /// Makes them.
    ///
    /// # Errors
    /// When this is not root, or the machine cannot.
    pub fn new() -> Result<Self> {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("ip_forward")?;
        let first = Site::Client;
        for number in 0..NETWORKS {
            let this = Self { number };
            // The name is the lock: it can be made but once.
            if ip(&["netns", "add", &this.namespace(first)]).is_err() {
                std::mem::forget(this);
                continue;
            }
            for site in Site::ALL {
                let (name, device) = (this.namespace(site), this.device(site));
                if site != first {
                    ip(&["netns", "add", &name])?;
                }
                let (address, gateway) = (this.address(site), this.gateway(site));
                for line in [
                    format!("link add {device} type veth peer name eth0 netns {name}"),
                    format!("addr add {gateway}/24 dev {device}"),
                    format!("link set {device} up"),
                    format!("-n {name} addr add {address}/24 dev eth0"),
                    format!("-n {name} link set eth0 up"),
                    format!("-n {name} link set lo up"),
                    format!("-n {name} route add default via {gateway}"),
                ] {
                    ip(&line.split(' ').collect::<Vec<_>>())?;
                }
            }
            return Ok(this);
        }
        bail!("{NETWORKS} networks are there already: ip netns list")
    }

    /// A site's address.
    pub fn address(&self, site: Site) -> String {
        format!("10.213.{}.2", self.subnet(site))
    }

    /// This machine's address as a site reaches it.
    pub fn gateway(&self, site: Site) -> String {
        format!("10.213.{}.1", self.subnet(site))
    }

    /// The words to put before a program that is to run at a site.
    pub fn enter(&self, site: Site) -> Vec<String> {
        let name = self.namespace(site);
        ["ip", "netns", "exec", &name].map(str::to_owned).into()
    }

    /// Drops all that two sites send each other from now on.
    ///
    /// # Errors
    /// When the machine cannot.
    pub fn cut(&self, one: Site, other: Site) -> Result<()> {
        self.rules("add", one, other)
    }

    /// Undoes a [cut](Self::cut).
    ///
    /// # Errors
    /// When there is none.
    pub fn mend(&self, one: Site, other: Site) -> Result<()> {
        self.rules("del", one, other)
    }

    fn rules(&self, what: &str, one: Site, other: Site) -> Result<()> {
        for (from, to) in [(one, other), (other, one)] {
            let (from, to) = (self.address(from), self.address(to));
            ip(&["rule", what, "from", &from, "to", &to, "blackhole"])?;
        }
        Ok(())
    }

    fn subnet(&self, site: Site) -> u8 {
        self.number * 4 + site as u8
    }

    fn namespace(&self, site: Site) -> String {
        format!("podgate-{}-{}", self.number, site.word())
    }

    fn device(&self, site: Site) -> String {
        format!("podgate{}", self.subnet(site))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for (one, other) in [
            (Site::Client, Site::Frontdoor),
            (Site::Frontdoor, Site::Node),
            (Site::Client, Site::Node),
        ] {
            // Most are not there.
            while self.mend(one, other).is_ok() {}
        }
        for site in Site::ALL {
            // A namespace that a process is still in goes with it; its device goes now.
            let _ = ip(&["link", "del", &self.device(site)]);
            let _ = ip(&["netns", "del", &self.namespace(site)]);
        }
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let done = Command::new("ip").args(words).output().context("ip")?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        bail!("ip {}: {why}", words.join(" "));
    }
    Ok(())
}
