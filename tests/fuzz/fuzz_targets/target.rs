//! A login name as a stranger may type it: parsing it never panics, a target holds only names that are
//! valid in Kubernetes, and its text parses to the same target. Every valid pod name is parsed as one,
//! and `~` means the same as `/`.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure files themselves: building their crate would take minutes.
#[path = "../../../frontdoor/src/login_name/mod.rs"]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "what a target resolves to is not fuzzed")]
mod login_name;
use login_name::{Kind, Reserved, Target};

fuzz_target!(|login: &str| {
    if is_subdomain(login) {
        for pod in [format!("{login}.prod+main"), format!("pod/{login}.prod+main")] {
            let read = Target::parse(&pod, "~");
            assert!(
                matches!(&read, Ok(Target::Pod { name, .. }) if name == login),
                "{pod:?}: {read:?}"
            );
        }
    }
    let read = Target::parse(login, "default");
    assert_eq!(Target::parse(&login.replace('~', "/"), "default"), read);
    let target = match read {
        Ok(target) => target,
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1);
            return;
        }
    };
    let (namespace, container) = match &target {
        Target::Pod {
            namespace,
            name,
            container,
        } => {
            assert!(is_subdomain(name), "{target:?}");
            (namespace, container)
        }
        Target::Workload {
            kind,
            namespace,
            name,
            container,
        } => {
            let valid = match kind {
                Kind::Service => is_label(name),
                _ => is_subdomain(name),
            };
            assert!(valid, "{target:?}");
            (namespace, container)
        }
        Target::Labels {
            labels,
            namespace,
            container,
        } => {
            assert!(!labels.is_empty());
            for (key, value) in labels {
                let (prefix, name) = key.split_once('/').unwrap_or(("none", key));
                assert!(is_subdomain(prefix) && is_name(name), "{target:?}");
                assert!(value.is_empty() || is_name(value), "{target:?}");
            }
            (namespace, container)
        }
        Target::Reserved(
            Reserved::Help | Reserved::WhoAmI | Reserved::Pods | Reserved::Podgate,
        ) => {
            assert_eq!(target.to_string(), login);
            return;
        }
    };
    assert!(is_label(namespace), "{target:?}");
    assert!(container.as_deref().is_none_or(is_label), "{target:?}");
    // An invalid default shows that it is not used.
    let full = target.to_string();
    assert_eq!(Target::parse(&full, "~").as_ref(), Ok(&target), "{login:?}");
});

// The rules of apimachinery's validation, written differently from the code under test: a label is
// bounded, and a subdomain is bounded as a whole.

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_word)
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_word(text)
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`.
fn is_word(text: &str) -> bool {
    let plain = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    encloses(text, plain, |b| plain(b) || *b == b'-')
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`, of 63 bytes at the most.
fn is_name(text: &str) -> bool {
    let plain = u8::is_ascii_alphanumeric;
    text.len() <= 63 && encloses(text, plain, |b| plain(b) || b"-_.".contains(b))
}

fn encloses(text: &str, outer: impl Fn(&u8) -> bool, inner: impl Fn(&u8) -> bool) -> bool {
    match text.as_bytes() {
        [one] => outer(one),
        [first, between @ .., last] => outer(first) && outer(last) && between.iter().all(inner),
        [] => false,
    }
}
