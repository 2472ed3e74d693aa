//! The rights that actions need, as RBAC names them. The verb is `create` but for
//! recordings.

use podgate_proto::v1::files::Protocol;
use podgate_proto::v1::open::Action;
use podgate_proto::v1::{Files, FilesRights, Listen, address};

/// A right in a pod.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Right {
    /// To run programs, which includes everything about files.
    Exec,
    PortForward,
    ReadFiles,
    WriteFiles,
    Recordings(OfRecordings),
}

/// A right to recordings of a namespace.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(crate) enum OfRecordings {
    List,
    Get,
    Update,
}

impl Right {
    /// The API group, the resource and the subresource.
    pub(super) fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Exec => ("", "pods", "exec"),
            Self::PortForward => ("", "pods", "portforward"),
            Self::ReadFiles => ("podgate.io", "files", "read"),
            Self::WriteFiles => ("podgate.io", "files", "write"),
            Self::Recordings(_) => ("podgate.io", "recordings", ""),
        }
    }

    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Recordings(OfRecordings::List) => "list",
            Self::Recordings(OfRecordings::Get) => "get",
            Self::Recordings(OfRecordings::Update) => "update",
            Self::Exec | Self::PortForward | Self::ReadFiles | Self::WriteFiles => "create",
        }
    }

    /// The right that allows all of an action.
    pub(super) fn of(action: &Action) -> Self {
        match action {
            // The pod reaches nothing by it but the client's own agent.
            Action::Listen(listen) if is_of_agent(listen) => Self::Exec,
            Action::Dial(_) | Action::Listen(_) | Action::Accept(_) => Self::PortForward,
            Action::Exec(_) | Action::Files(_) => Self::Exec,
        }
    }

    /// Rights of which each allows a part of an action, to those who do not have the right to all of it. If
    /// the right to exec suffices for forwards, it allows all of one.
    pub(super) fn parts(action: &Action, exec_suffices: bool) -> &'static [Self] {
        let Action::Files(Files { protocol }) = action else {
            return match Self::of(action) {
                Self::PortForward if exec_suffices => &[Self::Exec],
                _ => &[],
            };
        };
        match protocol {
            Some(Protocol::Sftp(_)) => &[Self::ReadFiles, Self::WriteFiles],
            Some(Protocol::Scp(scp)) if scp.receive => &[Self::WriteFiles],
            Some(Protocol::Scp(_)) => &[Self::ReadFiles],
            None => &[],
        }
    }

    /// What these allow of files.
    pub(super) fn files(held: impl Iterator<Item = Self>) -> FilesRights {
        let mut files = FilesRights::default();
        for right in held {
            let programs = right == Self::Exec;
            files.programs |= programs;
            files.read |= programs || right == Self::ReadFiles;
            files.write |= programs || right == Self::WriteFiles;
        }
        files
    }
}

/// Whether it is for the client's ssh-agent.
pub(crate) fn is_of_agent(listen: &Listen) -> bool {
    let address = listen.address.as_ref();
    let address = address.and_then(|address| address.address.as_ref());
    matches!(address, Some(address::Address::Agent(_)))
}

#[cfg(test)]
mod tests {
    use podgate_proto::v1::{Accept, Address, AgentSocket, Dial, TcpAddress};

    use super::*;

    #[test]
    fn listening_for_an_agent_is_execs_and_all_else_portforwards() {
        let listen = |address| {
            Action::Listen(Listen {
                address: Some(Address {
                    address: Some(address),
                }),
                ..Listen::default()
            })
        };
        let agent = listen(address::Address::Agent(AgentSocket {}));
        let tcp = listen(address::Address::Tcp(TcpAddress::default()));
        let (dial, accept) = (Dial::default(), Accept::default());
        assert_eq!(Right::of(&agent), Right::Exec);
        for other in [tcp, Action::Dial(dial), Action::Accept(accept)] {
            assert_eq!(Right::of(&other), Right::PortForward);
        }
        assert!(Right::parts(&agent, true).is_empty());
    }
}
