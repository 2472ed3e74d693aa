//! JSON of files that a pod's author has a hand in: bounded in bytes, and by the parser in depth. It
//! stays a tree, so that nothing that the entry does not know of is lost.

use serde_json::{Map, Value};

/// Bytes of a file, at the most: a pod has at most 1.5 MiB in the API server's store.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// An object.
pub(crate) type Object = Map<String, Value>;

/// Why bytes are no object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

pub(crate) fn object(bytes: &[u8]) -> Result<Object, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLong);
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// A string of an object; none if it is empty.
pub(crate) fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    let text = object.get(key)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bounded_object_is_taken() {
        assert!(object(br#"{"a":{"b":[1,-1,1e3]}}"#).is_ok());
        for bytes in [b"".as_slice(), b"[]", b"{", b"{}x", b"\xff"] {
            assert!(object(bytes).is_err(), "{bytes:?}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert!(object(deep.as_bytes()).is_err());
        let long = format!(r#"{{"a":"{}"}}"#, "b".repeat(MAX_BYTES));
        assert!(matches!(object(long.as_bytes()), Err(Error::TooLong)));
    }

    #[test]
    fn numbers_are_written_again_as_they_were_read() {
        for number in ["18446744073709551615", "-1", "4.671484407370955e+19", "0.1"] {
            let bytes = format!(r#"{{"a":{number}}}"#);
            let object = object(bytes.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&object).unwrap(), bytes);
        }
    }
}
