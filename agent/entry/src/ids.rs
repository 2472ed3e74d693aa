//! Names in requests. Each is checked once, where it is parsed, and is bounded.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use podgate_helper::protocol::ContainerId;

/// Not a name of its kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAName(&'static str);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $fits:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NotAName;

            fn try_from(text: String) -> Result<Self, NotAName> {
                let fits: fn(&str) -> bool = $fits;
                if fits(&text) { Ok(Self(text)) } else { Err(NotAName($what)) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

fn is_word(text: &str, most: usize) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=most).contains(&text.len()) && text.bytes().all(sound)
}

name!(
    /// A pod's UID as its container's runtime has it. For a static pod this is the hash of its
    /// configuration (annotation `kubernetes.io/config.mirror` of its mirror).
    PodUid,
    "a pod's UID has 1 to 128 letters, digits, dashes and dots",
    |text| is_word(text, 128)
);

name!(
    /// A container's name within its pod.
    ContainerName,
    "a container's name has 1 to 63 letters, digits and dashes",
    |text| is_word(text, 63)
);

name!(
    /// Who acts. The entry only counts by it.
    User,
    "a user has 1 to 256 bytes and no control characters",
    |text| (1..=256).contains(&text.len()) && !text.chars().any(char::is_control)
);

/// A started program. No two have the same, over restarts of the entry too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Handle(pub u64);

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let name = |text: &str| ContainerName::try_from(text.to_owned()).is_ok();
        assert!(name("app") && name(&"a".repeat(63)));
        for text in ["", "a/b", "..\0", "a b", &"a".repeat(64)] {
            assert!(!name(text), "{text:?}");
        }
        let user = |text: &str| User::try_from(text.to_owned()).is_ok();
        assert!(user("https://issuer#jürgen"));
        assert!(!user("") && !user("a\nb") && !user(&"a".repeat(257)));
        assert!(PodUid::try_from("76ec04fb-05b2-4ae4-9088-26dc0a697425".to_owned()).is_ok());
    }
}
