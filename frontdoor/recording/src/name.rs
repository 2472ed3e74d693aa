//! The names of a recording and of its objects: by day and namespace, so that the store's own life cycle
//! rules can tell them apart.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::digest::sha256;

/// The tree of recordings' chunks.
const CHUNKS: &str = "recordings";
/// The tree of index objects.
const INDEX: &str = "index";
/// The tree of what running frontdoors write again and again.
const FRONTDOORS: &str = "frontdoors";
/// The tree of what the page of recordings keeps.
const LINKS: &str = "links";
/// Characters of a user's hash in the name of an index object.
const USER: usize = 16;
/// The longest name of a pod that an index object's name has whole: a file's name has 255 bytes at most.
const POD: usize = 150;

/// A recording's name: when it began, and its session. Names sort by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    text: String,
    day: Date,
}

/// A text is no recording's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a recording's name; such a name looks like 20261126T205800Z-0123456789abcdef0123456789abcdef"
)]
pub struct NoId;

impl Id {
    /// The recording of a session that begins now. A session's name is 32 hex digits.
    pub fn new(begins: Timestamp, session: &str) -> Self {
        let text = format!("{}-{session}", began(begins));
        let day = begins.to_zoned(TimeZone::UTC).date();
        Self { text, day }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What tells this recording from others in the spool's folder.
    pub(crate) fn lane(&self) -> u64 {
        let session = self.text.split_once('-').and_then(|(_, id)| id.get(..16));
        session
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .unwrap_or_default()
    }

    /// When it began, to the second.
    pub fn begins(&self) -> Option<Timestamp> {
        let (time, _) = self.text.split_once('-')?;
        TimeZone::UTC.to_timestamp(begins(time)?).ok()
    }

    /// The day on which it began, in UTC.
    pub fn day(&self) -> Date {
        self.day
    }
}

impl FromStr for Id {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let (time, session) = text.split_once('-').ok_or(NoId)?;
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let day = begins(time).ok_or(NoId)?.date();
        if session.len() != 32 || !session.bytes().all(hex) {
            return Err(NoId);
        }
        let text = text.to_owned();
        Ok(Self { text, day })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A time as a recording's name has it, such as 20261126T205800Z.
pub(crate) fn began(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads such a time. A list of many recordings reads as many of them, so this is quicker than
/// what reads any format.
fn begins(time: &str) -> Option<DateTime> {
    let time = time.strip_suffix('Z')?;
    if time.len() != 15 || time.get(8..9)? != "T" {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = time.get(from..to)?.bytes();
        digits.into_iter().try_fold(0_i16, |number, digit| {
            let digit = digit.is_ascii_digit().then_some(digit - b'0')?;
            Some(number * 10 + i16::from(digit))
        })
    };
    let small = |from: usize| i8::try_from(number(from, from + 2)?).ok();
    let (month, day) = (small(4)?, small(6)?);
    let (hour, minute, second) = (small(9)?, small(11)?, small(13)?);
    DateTime::new(number(0, 4)?, month, day, hour, minute, second, 0).ok()
}

/// Names that divide what is in a folder of a day, so that its parts can be listed at the same time.
pub(crate) fn hours(day: Date) -> Vec<String> {
    let day = day.strftime("%Y%m%d");
    (0..24).map(|hour| format!("{day}T{hour:02}")).collect()
}

/// A recording's chunks.
pub(crate) fn recording(namespace: &str, id: &Id) -> String {
    format!("{}/{id}", chunks(id.day, namespace))
}

/// A chunk's object.
pub(crate) fn chunk(namespace: &str, id: &Id, number: u32) -> String {
    format!("{}/{number:08}", recording(namespace, id))
}

/// A namespace's recordings of a day.
pub(crate) fn chunks(day: Date, namespace: &str) -> String {
    format!("{}/{namespace}", recorded(day))
}

/// A day's recordings, by namespace.
pub(crate) fn recorded(day: Date) -> String {
    format!("{CHUNKS}/{day}")
}

/// A day's index, by namespace.
pub(crate) fn day(day: Date) -> String {
    format!("{INDEX}/{day}")
}

/// A namespace's index of a day.
pub(crate) fn index(day: Date, namespace: &str) -> String {
    format!("{INDEX}/{day}/{namespace}")
}

/// What a frontdoor writes again and again while it runs. Its name is hex digits.
pub(crate) fn frontdoor(name: &str) -> String {
    format!("{FRONTDOORS}/{name}")
}

/// An object of the page of recordings. The name is hex digits, and may have an ending.
pub(crate) fn link(name: &str) -> String {
    format!("{LINKS}/{name}")
}

/// What the name of an index object says, so that most need not be read to be found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Indexed {
    pub(crate) id: Id,
    pub(crate) pod: String,
    /// Of the user's name only a hash: a list of objects should not show who was where. Whoever guesses a name can check it.
    pub(crate) user: String,
}

impl Indexed {
    pub(crate) fn new(id: Id, pod: &str, user: &str) -> Self {
        let (pod, user) = (pod_part(pod), short_hash(user));
        Self { id, pod, user }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (id, pod, user) = Self::parts(name)?;
        let (id, pod, user) = (id.parse().ok()?, pod.to_owned(), user.to_owned());
        Some(Self { id, pod, user })
    }

    /// The recording, the pod and the user's hash, unchecked.
    pub(crate) fn parts(name: &str) -> Option<(&str, &str, &str)> {
        let mut parts = name.strip_suffix(".json")?.split('_');
        Some((parts.next()?, parts.next()?, parts.next()?))
    }

    /// The index object.
    pub(crate) fn object(&self, day: Date, namespace: &str) -> String {
        format!("{}/{}", index(day, namespace), self.file())
    }

    pub(crate) fn file(&self) -> String {
        let Self { id, pod, user } = self;
        format!("{id}_{pod}_{user}.json")
    }
}

/// A pod in the name of an index object. Of a long one the end is a hash.
pub(crate) fn pod_part(pod: &str) -> String {
    if pod.len() <= POD {
        return pod.to_owned();
    }
    let begin = pod.get(..pod.floor_char_boundary(POD - USER - 1));
    format!("{}.{}", begin.unwrap_or_default(), short_hash(pod))
}

/// The first hex digits of a name's SHA-256.
pub(crate) fn short_hash(name: &str) -> String {
    let mut hash = sha256(name.as_bytes());
    hash.truncate(USER);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_of_pods_fit_into_that_of_a_file() {
        let id = Id::new(Timestamp::UNIX_EPOCH, "0123456789abcdef0123456789abcdef");
        let name = |pod: &str| Indexed::new(id.clone(), pod, "ada");
        let (one, other) = ("x".repeat(253), format!("{}y", "x".repeat(252)));
        assert!(name(&one).file().len() <= 255);
        assert_eq!(Indexed::parse(&name(&one).file()), Some(name(&one)));
        assert_ne!(name(&one), name(&other));
    }

    #[test]
    fn a_name_says_when_and_is_read_back() {
        let begins: Timestamp = "2026-11-26T23:58:00.5Z".parse().unwrap();
        let id = Id::new(begins, "0123456789abcdef0123456789abcdef");
        assert_eq!(
            id.as_str(),
            "20261126T235800Z-0123456789abcdef0123456789abcdef"
        );
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        let path = chunk("prod", &id, 3);
        assert_eq!(path, format!("recordings/2026-11-26/prod/{id}/00000003"));
        assert_eq!(id.as_str().parse::<Id>().unwrap().day(), id.day());
        let name = Indexed::new(id, "web-0", "ada@example.com");
        assert_eq!(Indexed::parse(&name.file()), Some(name));
        for text in [
            "",
            "../x-0123456789abcdef0123456789abcdef",
            "20261126T235800Z-",
            "2026112-T235800Z-0123456789abcdef0123456789abcdef",
            "20261126 235800Z-0123456789abcdef0123456789abcdef",
            "20261326T235800Z-0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(text.parse::<Id>(), Err(NoId), "{text}");
        }
    }
}
