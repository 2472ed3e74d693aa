//! Separate networks for the client, the frontdoor and the node (network namespaces, joined by this
//! machine's forwarding), so that a link can go silent: packets are dropped without a notice.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::namespace::Namespace;

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
}

/// The three networks; gone on drop. Root is needed.
#[derive(Debug)]
pub struct Network {
    number: u8,
    /// In the order of [`Site::ALL`].
    namespaces: [Namespace; 3],
}

impl Network {
    /// Makes them.
    ///
    /// # Errors
    /// When this is not root, or the machine cannot.
    pub fn new() -> Result<Self> {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("ip_forward")?;
        let namespaces = [Namespace::new()?, Namespace::new()?, Namespace::new()?];
        for number in 0..NETWORKS {
            // The device's name is the lock, because it can be made only once.
            let [first, ..] = &namespaces;
            if ip(&pair(&device(number, Site::Client), first)).is_err() {
                continue;
            }
            let this = Self { number, namespaces };
            for site in Site::ALL {
                let (namespace, device) = (this.namespace(site), device(number, site));
                if site != Site::Client {
                    ip(&pair(&device, namespace))?;
                }
                let (address, gateway) = (this.address(site), this.gateway(site));
                ip(&format!("addr add {gateway}/24 dev {device}"))?;
                ip(&format!("link set {device} up"))?;
                for line in [
                    format!("addr add {address}/24 dev eth0"),
                    "link set eth0 up".to_owned(),
                    "link set lo up".to_owned(),
                    format!("route add default via {gateway}"),
                ] {
                    run(&format!("{} ip {line}", namespace.enter().join(" ")))?;
                }
            }
            return Ok(this);
        }
        bail!("{NETWORKS} networks are there already: ip link show type veth")
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
        self.namespace(site).enter()
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
            ip(&format!("rule {what} from {from} to {to} blackhole"))?;
        }
        Ok(())
    }

    fn subnet(&self, site: Site) -> u8 {
        subnet(self.number, site)
    }

    fn namespace(&self, site: Site) -> &Namespace {
        let [client, frontdoor, node] = &self.namespaces;
        match site {
            Site::Client => client,
            Site::Frontdoor => frontdoor,
            Site::Node => node,
        }
    }
}

fn subnet(number: u8, site: Site) -> u8 {
    number * 4 + site as u8
}

/// This machine's end of a site's link.
fn device(number: u8, site: Site) -> String {
    format!("podgate{}", subnet(number, site))
}

/// Makes both ends of a link into a namespace.
fn pair(device: &str, namespace: &Namespace) -> String {
    let pid = namespace.pid();
    format!("link add {device} type veth peer name eth0 netns {pid}")
}

impl Drop for Network {
    fn drop(&mut self) {
        for (one, other) in [
            (Site::Client, Site::Frontdoor),
            (Site::Frontdoor, Site::Node),
            (Site::Client, Site::Node),
        ] {
            // Most of these rules do not exist.
            while self.mend(one, other).is_ok() {}
        }
        for site in Site::ALL {
            // A namespace that a process is still in goes when that process ends. Its device goes now.
            let _ = ip(&format!("link del {}", device(self.number, site)));
        }
    }
}

fn ip(words: &str) -> Result<()> {
    run(&format!("ip {words}"))
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let done = Command::new(program).args(words).output();
    let done = done.context(program.to_owned())?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        bail!("{line}: {why}");
    }
    Ok(())
}
