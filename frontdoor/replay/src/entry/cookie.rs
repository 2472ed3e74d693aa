//! The cookie: which pass its holder has, and until when, sealed. A script cannot read it, and no other site
//! can make a browser send it.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use podgate_identity::pass::{Error, PassKey};
use serde::{Deserialize, Serialize};

/// Browsers accept this prefix only over HTTPS, for this host alone.
const NAME: &str = "__Host-podgate";
const PURPOSE: &str = "podgate cookie";
/// Bytes of a cookie's value at most.
const LONGEST: usize = 512;

/// What a cookie says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cookie {
    /// The name under which the pass is kept.
    pub(crate) pass: String,
    /// In seconds since 1970.
    pub(crate) until: u64,
}

impl Cookie {
    /// The cookie of a request.
    pub(super) fn read(key: &PassKey, headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::COOKIE).iter();
        let pairs = lines.filter_map(|line| line.to_str().ok());
        let mut pairs = pairs.flat_map(|line| line.split(';'));
        let value = pairs.find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))?;
        let sealed = Some(value).filter(|value| value.len() <= LONGEST)?;
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        serde_json::from_slice(&key.open(PURPOSE, &sealed).ok()?).ok()
    }

    /// The header that gives it to a browser, for so many seconds.
    pub(super) fn header(&self, key: &PassKey, seconds: u64) -> Result<String, Error> {
        let sealed = key.seal(PURPOSE, &serde_json::to_vec(self)?)?;
        let value = BASE64_URL_SAFE_NO_PAD.encode(sealed);
        Ok(line(&value, seconds))
    }

    /// The header that takes it away.
    pub(crate) fn gone() -> String {
        line("", 0)
    }
}

fn line(value: &str, seconds: u64) -> String {
    format!("{NAME}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_given_and_no_other() {
        let key = PassKey::parse(&PassKey::make().unwrap()).unwrap();
        let cookie = Cookie {
            pass: "0".repeat(64),
            until: 1_800_000_000,
        };
        let given = cookie.header(&key, 60).unwrap();
        for words in [
            "Path=/",
            "Max-Age=60",
            "Secure",
            "HttpOnly",
            "SameSite=Strict",
        ] {
            assert!(given.contains(words), "{given}");
        }
        let (pair, _) = given.split_once(';').unwrap();
        let read = |key: &PassKey, line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, line.parse().unwrap());
            Cookie::read(key, &headers)
        };
        assert_eq!(read(&key, pair), Some(cookie.clone()));
        assert_eq!(read(&key, &format!("a=b; {pair}; c=d")), Some(cookie));
        let other = PassKey::parse(&PassKey::make().unwrap()).unwrap();
        assert_eq!(read(&other, pair), None);
        for wrong in [
            "",
            "__Host-podgate=",
            "__Host-podgate=AAAA",
            "__Host-podgate",
        ] {
            assert_eq!(read(&key, wrong), None, "{wrong}");
        }
        let changed = format!("{}A", pair.get(..pair.len() - 1).unwrap());
        assert!(changed == pair || read(&key, &changed).is_none());
    }
}
