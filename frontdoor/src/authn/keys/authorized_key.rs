//! One key of a user: a line of authorized_keys, its options, and whether they let it in now.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use podgate_identity::{Identity, strength};
use russh::keys::PublicKey;

use super::super::options::{self, Options, Timespec};
use super::super::restrictions::Restrictions;

/// Why a key's line lets nobody in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum KeyError {
    #[error("{0}")]
    Options(#[from] options::Error),
    #[error("expiry-time: this time does not exist")]
    Time,
    #[error("it is not a public key: {0}")]
    Key(#[from] russh::keys::ssh_key::Error),
    #[error("{0}")]
    Weak(&'static str),
}

/// Why a key does not let someone in now.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum KeyRefusal {
    #[error("it is unknown")]
    Unknown,
    #[error("its expiry-time has passed")]
    Expired,
    #[error("the client's address does not match its from")]
    Address,
}

/// One key of a user, with its options.
#[derive(Debug)]
pub(super) struct AuthorizedKey {
    pub(super) identity: Arc<Identity>,
    options: Options,
    expires: Option<SystemTime>,
}

impl AuthorizedKey {
    pub(super) fn hold(&self, from: IpAddr, now: SystemTime) -> Result<(), KeyRefusal> {
        if self.expires.is_some_and(|expires| expires < now) {
            return Err(KeyRefusal::Expired);
        }
        match &self.options.from {
            Some(addresses) if !addresses.fit(from) => Err(KeyRefusal::Address),
            _ => Ok(()),
        }
    }

    pub(super) fn restrictions(&self) -> Restrictions {
        let options = &self.options;
        Restrictions {
            command: options.command.clone(),
            pty: options.pty,
            port_forwarding: options.port_forwarding,
            agent_forwarding: options.agent_forwarding,
            open: options.open.iter().cloned().collect(),
            listen: options.listen.iter().cloned().collect(),
            presence: options.presence,
            expires: self.expires,
        }
    }
}

/// Reads one line of an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT). `ssh_key` reads
/// such lines, too, but not options with a space in them.
pub(super) fn parse(
    line: &str,
    identity: &Arc<Identity>,
) -> Result<(PublicKey, AuthorizedKey), KeyError> {
    let line = line.trim();
    let bare: Result<PublicKey, _> = line.parse();
    let (options, key) = match bare {
        Ok(key) => (Options::default(), key),
        Err(error) => {
            let (text, rest) = options::part(line);
            // A text that begins like a key but is none has no options.
            if ["ssh-", "ecdsa-", "sk-"]
                .iter()
                .any(|kind| text.starts_with(kind))
                || rest.is_empty()
            {
                return Err(error.into());
            }
            (Options::parse(text)?, rest.trim_start().parse()?)
        }
    };
    if let Some(reason) = strength::weakness(key.key_data()) {
        return Err(KeyError::Weak(reason));
    }
    let times = options
        .expiry
        .iter()
        .map(|&spec| time(spec).ok_or(KeyError::Time));
    let times: Vec<_> = times.collect::<Result<_, _>>()?;
    let parsed = AuthorizedKey {
        identity: Arc::clone(identity),
        options,
        expires: times.into_iter().min(),
    };
    Ok((key, parsed))
}

fn time(spec: Timespec) -> Option<SystemTime> {
    let zone = if spec.utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let number = |number: u8| i8::try_from(number).ok();
    let civil = DateTime::new(
        i16::try_from(spec.year).ok()?,
        number(spec.month)?,
        number(spec.day)?,
        number(spec.hour)?,
        number(spec.minute)?,
        number(spec.second)?,
        0,
    );
    let time = civil.ok()?.to_zoned(zone).ok()?;
    Some(time.timestamp().into())
}
