//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::container::bundle::STATES;
use crate::container::config::Rules;
use crate::starter::Most;
use crate::starter::options::Options;

/// Starts programs in containers for the Podgate agent of its node, by the node's own runc or crun.
#[derive(Parser)]
#[command(name = "podgate-node-entry", version = version())]
pub(crate) struct Arguments {
    /// The socket to listen on. Its folder must belong to the agent and be closed to others; a missing
    /// folder is created that way.
    #[arg(long)]
    socket: PathBuf,
    /// The user id that may connect besides this program's own: the agent's.
    #[arg(long)]
    pub(crate) agent_uid: Option<u32>,
    /// The program that is started in containers, linked statically.
    #[arg(long, default_value = "/podgate-launcher")]
    launcher: PathBuf,
    /// The program that serves files in containers, linked statically. It may be left out.
    #[arg(long, default_value = "/podgate-worker")]
    worker: PathBuf,
    /// The node's root folder.
    #[arg(long, default_value = "/proc/1/root")]
    node_root: PathBuf,
    /// A folder of containerd's state. May be given several times.
    #[arg(long, default_values = STATES)]
    containerd: Vec<PathBuf>,
    /// A folder for the journal of what is to be hung up. Its mode must be 700.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Enters privileged containers, too: who can, has the whole node.
    #[arg(long)]
    allow_privileged: bool,
    /// Enters containers that see the node's processes, too.
    #[arg(long)]
    allow_host_processes: bool,
    /// Enters containers of this namespace and no others. May be given several times.
    #[arg(long)]
    only_namespace: Vec<String>,
    /// Enters no container of this namespace. May be given several times.
    #[arg(long)]
    no_namespace: Vec<String>,
    /// Seconds between SIGHUP and SIGKILL for programs whose agent is gone.
    #[arg(long, default_value_t = 10, overrides_with = "grace", value_parser = clap::value_parser!(u64).range(..=300))]
    grace: u64,
    /// Seconds for the runtime to start a program.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    start_timeout: u64,
    /// Starts at a time on the node.
    #[arg(long, default_value_t = 32)]
    starts: usize,
    /// Starts at a time in a container.
    #[arg(long, default_value_t = 4)]
    starts_per_container: usize,
    /// Starts at a time of a user.
    #[arg(long, default_value_t = 8)]
    starts_per_user: usize,
    /// Programs at a time on the node.
    #[arg(long, default_value_t = 4096)]
    programs: usize,
    /// Programs at a time in a container.
    #[arg(long, default_value_t = 1024)]
    programs_per_container: usize,
    /// Programs at a time of a user.
    #[arg(long, default_value_t = 1024)]
    programs_per_user: usize,
    /// What this program starts itself as.
    #[arg(long, hide = true)]
    pub(crate) front: bool,
}

/// The version, and the commit that the image was built from. podgate-process has the same, but links
/// what a privileged program must not.
fn version() -> String {
    let commit = option_env!("PODGATE_COMMIT").unwrap_or("commit unknown");
    format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
}

impl From<Arguments> for Options {
    fn from(arguments: Arguments) -> Self {
        Self {
            socket: arguments.socket,
            agent_uid: arguments.agent_uid,
            launcher: arguments.launcher,
            worker: arguments.worker,
            node: arguments.node_root,
            containerd: arguments.containerd,
            journal: arguments.journal,
            rules: Rules {
                privileged: arguments.allow_privileged,
                host_processes: arguments.allow_host_processes,
                only_namespaces: arguments.only_namespace,
                no_namespaces: arguments.no_namespace,
            },
            grace: Duration::from_secs(arguments.grace),
            start: Duration::from_secs(arguments.start_timeout),
            starts: Most {
                of_node: arguments.starts,
                of_container: arguments.starts_per_container,
                of_user: arguments.starts_per_user,
            },
            programs: Most {
                of_node: arguments.programs,
                of_container: arguments.programs_per_container,
                of_user: arguments.programs_per_user,
            },
        }
    }
}
