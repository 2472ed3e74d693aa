//! A login name as a stranger types it: reading it never panics, what comes out holds only names
//! that Kubernetes takes, and written out in full it is read as the same again. Whatever is a pod's
//! name is read as one.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The pure file itself: building its crate would take minutes.
#[path = "../../../frontdoor/src/target.rs"]
#[allow(dead_code, reason = "what a target resolves to is not fuzzed")]
mod target;
use target::Target;

fuzz_target!(|login: &str| {
    if login.len() <= 253 && login.split('.').all(is_name) {
        let pod = Target::parse(&format!("{login}.prod+main"), "~").map(|target| target.pod);
        assert_eq!(pod.as_deref(), Ok(login));
    }
    let Ok(target) = Target::parse(login, "default") else {
        return;
    };
    let Target {
        namespace,
        pod,
        container,
    } = &target;
    // As apimachinery's validation has it: labels are bounded, a subdomain is bounded as a whole.
    assert!(
        pod.len() <= 253 && pod.split('.').all(is_name),
        "{target:?}"
    );
    for label in [Some(namespace), container.as_ref()].into_iter().flatten() {
        assert!(label.len() <= 63 && is_name(label), "{target:?}");
    }
    let mut full = format!("{pod}.{namespace}");
    if let Some(container) = container {
        full = format!("{full}+{container}");
    }
    // A default that is no name shows that it is not used.
    assert_eq!(Target::parse(&full, "~").as_ref(), Ok(&target), "{login:?}");
});

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, in other words than the code's.
fn is_name(text: &str) -> bool {
    let plain = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    match text.as_bytes() {
        [one] => plain(one),
        [first, inner @ .., last] => {
            plain(first) && plain(last) && inner.iter().all(|b| plain(b) || *b == b'-')
        }
        [] => false,
    }
}
