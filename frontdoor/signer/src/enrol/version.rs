//! Pure: the version of enrolment that a caller and the signer both speak, or the sentence that refuses
//! the caller if there is none.

use std::ops::RangeInclusive;

use podgate_proto::limits::{RELEASE, agree};
use podgate_proto::shown;
use podgate_proto::v1::EnrolRequest;

/// The caller and the signer have no version in common.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this signer (release {RELEASE}) speaks {ours} of enrolment, and the caller (release {release}) \
     {theirs}: upgrade the older one"
)]
pub(super) struct Error {
    ours: String,
    theirs: String,
    release: String,
}

/// The highest version that both the caller and a signer of these versions speak.
pub(super) fn version(ours: &RangeInclusive<u32>, request: &EnrolRequest) -> Result<u32, Error> {
    let lowest = request.protocol_version;
    // The first release does not send the highest.
    let theirs = lowest..=request.highest_version.max(lowest);
    agree(ours, &theirs).ok_or_else(|| Error {
        ours: words(ours),
        theirs: words(&theirs),
        release: shown::release(&request.release).to_owned(),
    })
}

fn words(versions: &RangeInclusive<u32>) -> String {
    match (versions.start(), versions.end()) {
        (lowest, highest) if lowest == highest => format!("version {lowest}"),
        (lowest, highest) => format!("versions {lowest} to {highest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lowest: u32, highest: u32, release: &str) -> EnrolRequest {
        EnrolRequest {
            protocol_version: lowest,
            highest_version: highest,
            release: release.to_owned(),
            ..EnrolRequest::default()
        }
    }

    #[test]
    fn both_use_the_highest_version_that_they_share() {
        let check = |ours: RangeInclusive<u32>, lowest, highest, expect: Option<u32>| {
            let found = version(&ours, &request(lowest, highest, "0.2.0"));
            assert_eq!(found.ok(), expect, "{ours:?} {lowest} {highest}");
        };
        check(1..=1, 1, 1, Some(1));
        check(1..=1, 1, 2, Some(1));
        check(1..=2, 1, 3, Some(2));
        check(2..=4, 1, 3, Some(3));
        check(1..=1, 2, 3, None);
        check(2..=3, 1, 1, None);
        // The first release, which sends one version.
        check(1..=3, 1, 0, Some(1));
        check(2..=3, 1, 0, None);
        check(1..=1, 0, 0, None);
        // A highest version below the lowest is ignored.
        check(1..=3, 2, 1, Some(2));
    }

    #[test]
    fn a_refusal_names_both_releases() {
        let refusal = |lowest, highest, release: &str| {
            let refused = version(&(3..=4), &request(lowest, highest, release));
            refused.unwrap_err().to_string()
        };
        assert_eq!(
            refusal(1, 2, "0.2.0"),
            format!(
                "this signer (release {RELEASE}) speaks versions 3 to 4 of enrolment, and the caller \
                 (release 0.2.0) versions 1 to 2: upgrade the older one"
            )
        );
        let first = refusal(1, 0, "");
        assert!(first.contains("(release unknown) version 1:"), "{first}");
        for odd in ["0.2.0\n0.3.0", "a b", &"1".repeat(33)] {
            assert!(refusal(1, 2, odd).contains("(release unknown)"), "{odd:?}");
        }
    }
}
