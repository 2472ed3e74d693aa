//! The options in front of a key (sshd(8), AUTHORIZED_KEYS FILE FORMAT), read as sshd reads them
//! (sshauthopt_parse of OpenSSH). Each restricts its key, so an unsupported one is an error.

use podgate_identity::addresses::{self, Addresses};
use podgate_identity::wildcard;

/// Why an options string is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub(crate) enum Error {
    #[error("the option {0:?} is not supported")]
    Unknown(String),
    #[error("the option {0} has no value in double quotes")]
    Quotes(&'static str),
    #[error("the option {0} is given twice")]
    Twice(&'static str),
    #[error("the options end with a comma")]
    Comma,
    #[error("from: {0}")]
    From(#[from] addresses::Error),
    #[error("expiry-time: {0:?} is not YYYYMMDD[HHMM[SS]][Z]")]
    Time(String),
    #[error("command: it is empty or contains a NUL byte")]
    Command,
    #[error("{0}: {1:?} is not host:port")]
    Endpoint(&'static str, String),
}

/// The options of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The addresses that the key may be used from.
    pub from: Option<Addresses>,
    /// When the key expires; the earliest counts.
    pub expiry: Vec<Timespec>,
    /// The command that runs in place of the client's.
    pub command: Option<String>,
    /// Whether a terminal may be asked for.
    pub pty: bool,
    /// Whether ports may be forwarded.
    pub port_forwarding: bool,
    /// Whether an agent may be forwarded.
    pub agent_forwarding: bool,
    /// What a hardware-backed key must say of its user.
    pub presence: Required,
    /// Where `ssh -L` may lead; anywhere, if none is named.
    pub open: Option<Vec<Endpoint>>,
    /// Where `ssh -R` may listen; anywhere, if none is named.
    pub listen: Option<Vec<Endpoint>>,
}

/// A date and time as written, not yet checked against a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub(crate) struct Timespec {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    /// In UTC; otherwise in the machine's time zone.
    pub utc: bool,
}

/// A host, which may be a pattern, and a port; without a port, any.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub(crate) struct Endpoint {
    pub host: String,
    pub port: Option<u16>,
}

/// What a hardware-backed key must say of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Required {
    /// That it was touched.
    pub touch: bool,
    /// That it has verified its user, by a PIN or a finger.
    pub verification: bool,
}

impl Default for Required {
    /// As in sshd.
    fn default() -> Self {
        Self {
            touch: true,
            verification: false,
        }
    }
}

impl Required {
    /// What both demand together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            touch: self.touch || other.touch,
            verification: self.verification || other.verification,
        }
    }
}

impl Default for Options {
    /// A key without options may do everything.
    fn default() -> Self {
        Self {
            from: None,
            expiry: Vec::new(),
            command: None,
            pty: true,
            port_forwarding: true,
            agent_forwarding: true,
            presence: Required::default(),
            open: None,
            listen: None,
        }
    }
}

/// Splits a line into the options in front of its key, and the rest.
pub(crate) fn part(line: &str) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    let end = line.bytes().position(|b| {
        let end = !quoted && matches!(b, b' ' | b'\t');
        quoted ^= b == b'"' && !escaped;
        // A backslash before a quote escapes it, even after another backslash, as in sshd.
        escaped = b == b'\\';
        end
    });
    line.split_at(end.unwrap_or(line.len()))
}

impl Options {
    /// Reads a list of options, without the key.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut rest = text;
        loop {
            rest = options.next(rest)?;
            match rest.strip_prefix(',') {
                None if rest.is_empty() => return Ok(options),
                None => return Err(unknown(rest)),
                Some("") => return Err(Error::Comma),
                Some(more) => rest = more,
            }
        }
    }

    /// Reads one option. Returns the text after it.
    fn next<'a>(&mut self, text: &'a str) -> Result<&'a str, Error> {
        let end = text.find([',', '=']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        // Keywords are case-insensitive.
        let keyword = name.to_ascii_lowercase();
        let Some(value) = rest.strip_prefix('=') else {
            self.flag(&keyword).ok_or_else(|| unknown(text))?;
            return Ok(rest);
        };
        match keyword.as_str() {
            "from" => {
                let (list, rest) = unquote("from", value)?;
                once("from", &mut self.from, Addresses::patterns(&list)?)?;
                Ok(rest)
            }
            "expiry-time" => {
                let (time, rest) = unquote("expiry-time", value)?;
                self.expiry
                    .push(Timespec::parse(&time).ok_or(Error::Time(time))?);
                Ok(rest)
            }
            "command" => {
                let (command, rest) = unquote("command", value)?;
                if command.is_empty() || command.contains('\0') {
                    return Err(Error::Command);
                }
                once("command", &mut self.command, command)?;
                Ok(rest)
            }
            "permitopen" => {
                let (endpoint, rest) = unquote("permitopen", value)?;
                let endpoint =
                    Endpoint::parse(&endpoint).ok_or(Error::Endpoint("permitopen", endpoint))?;
                self.open.get_or_insert_default().push(endpoint);
                Ok(rest)
            }
            "permitlisten" => {
                let (endpoint, rest) = unquote("permitlisten", value)?;
                // The host may be left out; then it is any.
                let full = match endpoint.contains(':') {
                    true => endpoint.clone(),
                    false => format!("*:{endpoint}"),
                };
                let endpoint =
                    Endpoint::parse(&full).ok_or(Error::Endpoint("permitlisten", endpoint))?;
                self.listen.get_or_insert_default().push(endpoint);
                Ok(rest)
            }
            _ => Err(unknown(text)),
        }
    }

    /// Reads an option without a value. It overrides earlier ones.
    fn flag(&mut self, keyword: &str) -> Option<()> {
        let (word, yes) = match keyword.strip_prefix("no-") {
            Some(word) => (word, false),
            None => (keyword, true),
        };
        match word {
            "restrict" if yes => {
                (self.pty, self.port_forwarding, self.agent_forwarding) = (false, false, false);
            }
            "pty" => self.pty = yes,
            "port-forwarding" => self.port_forwarding = yes,
            "agent-forwarding" => self.agent_forwarding = yes,
            "touch-required" => self.presence.touch = yes,
            "verify-required" => self.presence.verification = yes,
            // Podgate has neither X11 nor a user's rc file.
            "x11-forwarding" | "user-rc" => {}
            _ => return None,
        }
        Some(())
    }
}

fn unknown(text: &str) -> Error {
    // The value may be a secret.
    let name = text.split([',', '=']).next().unwrap_or_default();
    Error::Unknown(name.to_owned())
}

fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Twice(name)),
    }
}

/// Takes a value in double quotes, `\"` for a quote in it (opt_dequote of OpenSSH).
fn unquote<'a>(name: &'static str, text: &'a str) -> Result<(String, &'a str), Error> {
    let mut rest = text.strip_prefix('"').ok_or(Error::Quotes(name))?;
    let mut value = String::new();
    loop {
        let at = rest.find('"').ok_or(Error::Quotes(name))?;
        let (head, tail) = rest.split_at(at);
        rest = tail.strip_prefix('"').unwrap_or_default();
        match head.strip_suffix('\\') {
            Some(head) => {
                value.push_str(head);
                value.push('"');
            }
            None => {
                value.push_str(head);
                return Ok((value, rest));
            }
        }
    }
}

impl Timespec {
    /// `YYYYMMDD[HHMM[SS]][Z]` (parse_absolute_time of OpenSSH).
    fn parse(text: &str) -> Option<Self> {
        let (digits, utc) = match text.strip_suffix(['Z', 'z']) {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let two = |at: usize| {
            digits
                .get(at..at + 2)
                .map_or(Some(0), |two| two.parse().ok())
        };
        Some(Self {
            year: digits.get(..4)?.parse().ok()?,
            month: two(4)?,
            day: two(6)?,
            hour: two(8)?,
            minute: two(10)?,
            second: two(12)?,
            utc,
        })
    }
}

impl Endpoint {
    /// `host:port`, an IPv6 address in brackets, `*` for any port (hpdelim of OpenSSH).
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:")?,
            None => text.split_once(':')?,
        };
        let port = match port {
            "*" => None,
            // Not 0, and no sign, which `parse` would take.
            port if port.bytes().all(|b| b.is_ascii_digit()) => {
                Some(port.parse().ok().filter(|port| *port != 0)?)
            }
            _ => return None,
        };
        let host = (!host.is_empty()).then(|| host.to_owned())?;
        Some(Self { host, port })
    }

    /// Whether this allows a connection to there. Hosts are compared as they are written; `*` is any.
    pub(crate) fn opens(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port) && (self.host == "*" || self.host == host)
    }

    /// Whether this allows listening there. Its host is a pattern.
    pub(crate) fn listens(&self, host: &str, port: u16) -> bool {
        let fits = wildcard::matches(&self.host, host);
        self.port.is_none_or(|own| own == port) && fits
    }
}

#[cfg(test)]
mod tests;
