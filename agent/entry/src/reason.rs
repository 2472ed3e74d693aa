//! Why a program was not started, each in a user's words. The entry finds the reason in what the runtime
//! says; whether the kubelet's way may help instead stands beside it.

use serde::{Deserialize, Serialize};

/// Of what there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the sentences below say it")]
pub enum Bound {
    StartsOfNode,
    StartsOfContainer,
    StartsOfUser,
    ProgramsOfNode,
    ProgramsOfContainer,
    ProgramsOfUser,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StartsOfNode => "starts on this node",
            Self::StartsOfContainer => "starts in this container",
            Self::StartsOfUser => "starts of this user",
            Self::ProgramsOfNode => "programs on this node",
            Self::ProgramsOfContainer => "programs in this container",
            Self::ProgramsOfUser => "programs of this user",
        })
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each message says it")]
pub enum Reason {
    #[error("the container is not running")]
    Gone,
    #[error("the container is paused")]
    Paused,
    #[error("the container is of another pod or has another name")]
    OtherPod,
    #[error("the container runs under {0}, which is neither runc nor crun")]
    OtherRuntime(String),
    #[error("the container is run by {0}, whose containers the node entry does not enter yet")]
    OtherService(String),
    #[error("the container is privileged, and the node entry does not enter those")]
    Privileged,
    #[error("the container sees the node's processes, and the node entry does not enter those")]
    HostProcesses,
    #[error("the node entry does not enter containers of this namespace")]
    Namespace,
    #[error("the container's working folder is gone")]
    WorkingFolder,
    #[error("the container's process limit is reached")]
    ProcessLimit,
    #[error("the container's memory limit is reached")]
    MemoryLimit,
    /// runc's own, of several threads, which joins the container's control group before it has all of them.
    #[error("the runtime's first process died in the container before it ran anything")]
    FirstProcess,
    #[error("the container may not run a program from memory")]
    MemoryProgram,
    #[error("too many {0}")]
    TooMany(Bound),
    #[error("the node's runtime did not start it in time")]
    Slow,
    #[error("the node's runtime was cut off while it started the program")]
    CutOff,
    #[error("no program has this handle")]
    NoProgram,
    #[error("the request is not valid: {0}")]
    Invalid(String),
    #[error("the node's runtime could not start it: {0}")]
    Runtime(String),
    #[error("the node entry could not start it: {0}")]
    Entry(String),
}

impl Reason {
    /// A word for why the kubelet may start what the entry does not, if it may. A start that was cut off
    /// is never repeated, although nothing runs before the agent has let it go on.
    pub fn leaves_the_kubelet(&self) -> Option<&'static str> {
        match self {
            // It may be of a runtime whose containers are not where those of runc and crun are.
            Self::Gone => Some("not_found"),
            // The kubelet knows a container by its pod's name, which the bundle may have otherwise.
            Self::OtherPod => Some("other_pod"),
            Self::OtherRuntime(_) => Some("runtime"),
            Self::OtherService(_) => Some("service"),
            Self::Privileged => Some("privileged"),
            Self::HostProcesses => Some("host_processes"),
            Self::Namespace => Some("namespace"),
            Self::MemoryProgram => Some("memory_program"),
            Self::Paused
            | Self::WorkingFolder
            | Self::ProcessLimit
            | Self::MemoryLimit
            | Self::FirstProcess
            | Self::TooMany(_)
            | Self::Slow
            | Self::CutOff
            | Self::NoProgram
            | Self::Invalid(_)
            | Self::Runtime(_)
            | Self::Entry(_) => None,
        }
    }
}
