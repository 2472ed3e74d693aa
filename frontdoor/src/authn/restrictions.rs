//! What a login may do, apart from where it may go: the options of a key, or the critical options and
//! extensions of a certificate, in one form.

use std::time::SystemTime;

use super::options::{Endpoint, Required};

/// The restrictions of a login. Each is enforced for keys and for certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restrictions {
    /// The command that runs in place of the client's, which it finds in SSH_ORIGINAL_COMMAND.
    pub command: Option<String>,
    /// Whether a terminal may be asked for.
    pub pty: bool,
    /// Whether ports may be forwarded, either way.
    pub port_forwarding: bool,
    /// Whether an agent may be forwarded.
    pub agent_forwarding: bool,
    /// Where `ssh -L` may lead: each list must allow it. Ask [`may_open`](Self::may_open).
    pub open: Vec<Vec<Endpoint>>,
    /// Where `ssh -R` may listen, in the same way. Ask [`may_listen`](Self::may_listen).
    pub listen: Vec<Vec<Endpoint>>,
    /// What a hardware-backed key must say of its user.
    pub presence: Required,
    /// When the credential expires.
    pub expires: Option<SystemTime>,
}

impl Restrictions {
    /// Whether the client may connect to a host and port (`ssh -L`).
    pub(crate) fn may_open(&self, host: &str, port: u16) -> bool {
        self.port_forwarding && self.may_jump(host, port)
    }

    /// Whether the client may name a target by this host and port (`ssh -J`). A jump opens no port, so
    /// `permitopen` restricts it and `no-port-forwarding` does not.
    pub(crate) fn may_jump(&self, host: &str, port: u16) -> bool {
        let allows = |list: &Vec<Endpoint>| list.iter().any(|one| one.opens(host, port));
        self.open.iter().all(allows)
    }

    /// Whether the client may listen on this host and port (`ssh -R`).
    pub(crate) fn may_listen(&self, host: &str, port: u16) -> bool {
        let allows = |list: &Vec<Endpoint>| list.iter().any(|one| one.listens(host, port));
        self.port_forwarding && self.listen.iter().all(allows)
    }

    /// What both allow; `None` if they force different commands (sshauthopt_merge of OpenSSH).
    pub(crate) fn and(self, other: Self) -> Option<Self> {
        if let (Some(one), Some(another)) = (&self.command, &other.command)
            && one != another
        {
            return None;
        }
        Some(Self {
            command: self.command.or(other.command),
            pty: self.pty && other.pty,
            port_forwarding: self.port_forwarding && other.port_forwarding,
            agent_forwarding: self.agent_forwarding && other.agent_forwarding,
            open: [self.open, other.open].concat(),
            listen: [self.listen, other.listen].concat(),
            presence: self.presence.and(other.presence),
            expires: self.expires.into_iter().chain(other.expires).min(),
        })
    }
}

#[cfg(test)]
impl Restrictions {
    /// Everything is permitted.
    pub(crate) fn none() -> Self {
        Self {
            command: None,
            pty: true,
            port_forwarding: true,
            agent_forwarding: true,
            open: vec![],
            listen: vec![],
            presence: Required::default(),
            expires: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn two_allow_what_both_allow() {
        let endpoint = |host: &str| Endpoint {
            host: host.into(),
            port: None,
        };
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let one = Restrictions {
            command: Some("a".into()),
            pty: false,
            open: vec![vec![endpoint("db"), endpoint("cache")]],
            expires: at(2),
            ..Restrictions::none()
        };
        let other = Restrictions {
            agent_forwarding: false,
            open: vec![vec![endpoint("db")]],
            expires: at(1),
            ..Restrictions::none()
        };
        let both = one.clone().and(other.clone()).unwrap();
        assert!(!both.pty && both.port_forwarding && !both.agent_forwarding);
        assert_eq!(both.command.as_deref(), Some("a"));
        assert_eq!(both.expires, at(1));
        assert!(both.may_open("db", 80) && !both.may_open("cache", 80));
        assert!(one.may_open("cache", 80) && Restrictions::none().may_open("any", 80));
        assert!(both.may_listen("localhost", 80));
        let forced = |command: &str| Restrictions {
            command: Some(command.into()),
            ..Restrictions::none()
        };
        assert!(one.clone().and(forced("a")).is_some());
        assert_eq!(one.and(forced("b")), None);
        let none = Restrictions {
            port_forwarding: false,
            ..Restrictions::none()
        };
        assert!(!none.may_open("db", 80) && !none.may_listen("localhost", 80));
        assert!(none.may_jump("web", 22));
        assert!(both.may_jump("db", 22) && !both.may_jump("cache", 22));
    }
}
