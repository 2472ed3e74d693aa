//! Ids of pods and containers, stored as the bytes of their hex digits. That takes a third of the text,
//! of which a cluster has megabytes. An id in another form is stored as its text.

use std::fmt;

/// How ids of containers begin, by runtime (ContainerStatus.containerID).
const RUNTIMES: [&str; 3] = ["containerd://", "cri-o://", "docker://"];

/// A pod's UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Uid {
    /// As RFC 9562 writes it, in lower case.
    Uuid([u8; 16]),
    Text(Box<str>),
    /// Longer than this frontdoor records. No session may enter the pod.
    TooLong,
}

/// A container's id, after its runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContainerId {
    /// The index of a runtime in the list above, and the digest.
    Digest(u8, [u8; 32]),
    Text(Box<str>),
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        let uuid = bytes(&text.replace('-', "")).map(Self::Uuid);
        let uuid = uuid.filter(|uuid| uuid.to_string() == text);
        uuid.unwrap_or_else(|| Self::Text(text.into()))
    }
}

impl Uid {
    /// Keeps no more than this many bytes.
    pub(super) fn bounded(text: &str, most: usize) -> Self {
        if text.len() > most {
            return Self::TooLong;
        }
        Self::from(text)
    }

    /// Whether it is short enough to be recorded.
    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Self::TooLong)
    }
}

impl From<&str> for ContainerId {
    fn from(text: &str) -> Self {
        let digest = RUNTIMES.iter().zip(0..).find_map(|(runtime, at)| {
            let digest = bytes(text.strip_prefix(runtime)?)?;
            Some(Self::Digest(at, digest))
        });
        let digest = digest.filter(|digest| digest.to_string() == text);
        digest.unwrap_or_else(|| Self::Text(text.into()))
    }
}

/// The bytes of `N` pairs of hex digits.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::TooLong => Ok(()),
            Self::Uuid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    let dash = if matches!(at, 4 | 6 | 8 | 10) {
                        "-"
                    } else {
                        ""
                    };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Digest(runtime, digest) => {
                f.write_str(RUNTIMES.get(usize::from(*runtime)).unwrap_or(&""))?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_was_read() {
        let digest = "0123456789abcdef".repeat(4);
        for (text, short) in [
            ("50030c6c-3e8f-4675-a215-95c816506ca7", true),
            ("50030C6C-3e8f-4675-a215-95c816506ca7", false),
            ("50030c6c3e8f4675a21595c816506ca7", false),
            ("+0030c6c-3e8f-4675-a215-95c816506ca7", false),
            ("uid-1", false),
            ("", false),
        ] {
            let uid = Uid::from(text);
            assert_eq!(
                (uid.to_string().as_str(), matches!(uid, Uid::Uuid(_))),
                (text, short)
            );
        }
        for (text, short) in [
            (format!("containerd://{digest}"), true),
            (format!("cri-o://{digest}"), true),
            (format!("other://{digest}"), false),
            (format!("containerd://{}", digest.to_uppercase()), false),
            (format!("containerd://{digest}00"), false),
            ("containerd://demo".to_owned(), false),
            (digest.clone(), false),
        ] {
            let id = ContainerId::from(text.as_str());
            let is_short = matches!(id, ContainerId::Digest(..));
            assert_eq!((id.to_string(), is_short), (text, short));
        }
    }
}
