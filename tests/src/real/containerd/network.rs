//! Networks that pods are joined to: a bridge of this machine, and a veth into each pod.

use std::net::{SocketAddrV4, TcpListener};
use std::process::Command;

use anyhow::{Context, bail};

use crate::real::namespace::Namespace;

/// How many may be there at once.
const BRIDGES: u8 = 60;

/// The node's number in its network.
const NODE: u8 = 250;

/// A network of pods, in which this machine has the first address; gone on drop. Root is needed.
#[derive(Debug)]
pub struct Bridge {
    number: u8,
}

/// A node in such a network, with ports of its own.
#[derive(Debug)]
pub struct HostNetwork {
    namespace: Namespace,
    /// The node's address.
    pub address: String,
}

/// A pod's place in such a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    device: String,
    /// The pod's address.
    pub address: String,
    gateway: String,
    number: u8,
}

impl Bridge {
    /// Makes one.
    ///
    /// # Errors
    /// When this is not root, or the machine cannot.
    pub fn new() -> anyhow::Result<Self> {
        for number in 0..BRIDGES {
            let this = Self { number };
            // The name is the lock, because it can be made only once. The address is set here:
            // otherwise the bridge would take the lowest address of what joins it, and would change it
            // for those who know it already.
            let address = format!("02:70:6f:64:67:{number:02x}");
            let device = this.device();
            if ip(&format!("link add {device} address {address} type bridge")).is_err() {
                std::mem::forget(this);
                continue;
            }
            ip(&format!("addr add {}/24 dev {device}", this.gateway()))?;
            ip(&format!("link set {device} up"))?;
            return Ok(this);
        }
        bail!("{BRIDGES} networks are there already: ip link show type bridge")
    }

    /// This machine's address in it.
    pub fn gateway(&self) -> String {
        self.address(1)
    }

    /// A node's own network, joined to this one.
    ///
    /// # Errors
    /// When this is not root, or the machine cannot.
    pub fn host(&self) -> anyhow::Result<HostNetwork> {
        let (namespace, place) = (Namespace::new()?, self.place(NODE));
        place.join(namespace.pid())?;
        Ok(HostNetwork {
            namespace,
            address: place.address,
        })
    }

    /// The place of its `number`th pod, counted from 2 as the addresses are.
    pub fn place(&self, number: u8) -> Joined {
        Joined {
            device: self.device(),
            address: self.address(number),
            gateway: self.gateway(),
            number,
        }
    }

    fn address(&self, number: u8) -> String {
        format!("10.214.{}.{number}", self.number)
    }

    fn device(&self) -> String {
        format!("podgatebr{}", self.number)
    }
}

impl HostNetwork {
    /// A socket that listens at the node's address.
    ///
    /// # Errors
    /// When the machine cannot.
    pub fn listen(&self, port: u16) -> anyhow::Result<TcpListener> {
        let address = SocketAddrV4::new(self.address.parse()?, port);
        self.namespace.listen(address)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.device()));
    }
}

impl Joined {
    /// Joins the network that the process `pid` is in. Its end of the veth goes with it.
    pub(super) fn join(&self, pid: u32) -> anyhow::Result<()> {
        let (bridge, number) = (&self.device, self.number);
        let device = format!("{bridge}p{number}");
        // Removes what an earlier pod at this place has left, if its network is still being removed.
        let _ = ip(&format!("link del {device}"));
        ip(&format!(
            "link add {device} type veth peer name eth0 netns {pid}"
        ))?;
        ip(&format!("link set {device} master {bridge} up"))?;
        let (address, gateway) = (&self.address, &self.gateway);
        for line in [
            format!("addr add {address}/24 dev eth0"),
            "link set eth0 up".to_owned(),
            format!("route add default via {gateway}"),
        ] {
            run("nsenter", &format!("--net=/proc/{pid}/ns/net ip {line}"))?;
        }
        Ok(())
    }
}

fn ip(words: &str) -> anyhow::Result<()> {
    run("ip", words)
}

fn run(program: &str, words: &str) -> anyhow::Result<()> {
    let done = Command::new(program).args(words.split(' ')).output();
    let done = done.context(program.to_owned())?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        bail!("{program} {words}: {why}");
    }
    Ok(())
}
