//! Which names Kubernetes accepts (k8s.io/apimachinery, util/validation and content).

/// Bytes of a DNS label, of a label's name and of its value.
const LABEL: usize = 63;
/// Bytes of a subdomain, as a whole.
const SUBDOMAIN: usize = 253;

/// Whether `text` is a DNS label (RFC 1123), as namespaces and containers are named.
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= LABEL && is_word(text)
}

/// Whether `text` is a subdomain as Kubernetes names pods: bounded as a whole, not label by label
/// (IsDNS1123Subdomain).
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= SUBDOMAIN && text.split('.').all(is_word)
}

/// Whether `text` is a label's key: a name, maybe after a subdomain and a slash (IsQualifiedName).
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(text),
    }
}

/// Whether `text` is a label's value, which may be empty (IsValidLabelValue).
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_word(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// The name in a label's key.
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let outer = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LABEL && text.bytes().all(inner) && outer(bytes.first()) && outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_apimachinery_has_them() {
        let long = |length| "a".repeat(length);
        let check = |what: fn(&str) -> bool, yes: &[&str], no: &[&str]| {
            for text in yes {
                assert!(what(text), "{text:?}");
            }
            for text in no {
                assert!(!what(text), "{text:?}");
            }
        };
        check(
            is_label,
            &["a", "0", "a-0", "a--b", &long(63)],
            &["", "-a", "a-", "A", "a.b", "a_b", "ä", &long(64)],
        );
        check(
            is_subdomain,
            &["a", "a.b", "0.1", &long(253)],
            &["", ".", "a.", ".a", "a..b", "a.-b", &long(254)],
        );
        check(
            is_label_key,
            &[
                "a",
                "A_b.c-D",
                "0",
                "a.b/C",
                &long(63),
                "a/b",
                &format!("{}/a", long(253)),
            ],
            &[
                "",
                "/a",
                "a/",
                "a/b/c",
                "A/b",
                "_a",
                "a.",
                "a~b",
                &long(64),
                &format!("{}/a", long(254)),
            ],
        );
        check(
            is_label_value,
            &["", "a", "v1.2", "A_b-C", &long(63)],
            &["-", "a.", "_a", "a b", "a/b", "a=b", &long(64)],
        );
    }
}
