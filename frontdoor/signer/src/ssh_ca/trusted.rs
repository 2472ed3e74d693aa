//! The public keys of a CA in the bundle: first the one that signs, then earlier ones, each until its
//! certificates have expired. A line that somebody has removed stays out.

use jiff::{SignedDuration, Timestamp};
use podgate_identity::strength;
use ssh_key::PublicKey;

/// Begins the comment above an earlier key's line. Frontdoors skip comments.
const UNTIL: &str = "# until ";

/// The bundle's new text. `before` is the present one, and `signing` signs now. Another key in it
/// signed until now, and its certificates are valid for `lasts` at most.
pub(super) fn text(before: &str, signing: &str, now: Timestamp, lasts: SignedDuration) -> String {
    let mut text = format!("{}\n", signing.trim());
    let mut until = None;
    for line in before.lines().map(str::trim) {
        if let Some(time) = line.strip_prefix(UNTIL) {
            until = time.parse().ok();
            continue;
        }
        let until = until.take().or_else(|| now.checked_add(lasts).ok());
        // A line that is no key would make frontdoors refuse the whole text.
        let other = is_key(line) && key(line) != key(signing);
        if let Some(until) = until.filter(|until| other && *until > now) {
            text.push_str(&format!("{UNTIL}{until:.0}\n{line}\n"));
        }
    }
    text
}

fn is_key(line: &str) -> bool {
    let key: Result<PublicKey, _> = line.parse();
    key.is_ok_and(|key| strength::weakness(key.key_data()).is_none())
}

/// The line without its comment.
fn key(line: &str) -> Vec<&str> {
    line.split_whitespace().take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::private::Ed25519Keypair;

    fn line(seed: u8) -> String {
        let pair = Ed25519Keypair::from_seed(&[seed; 32]);
        PublicKey::from(pair.public).to_openssh().unwrap()
    }

    #[test]
    fn a_key_that_signed_is_trusted_until_what_it_signed_has_expired() {
        let (old, new) = (line(1), line(2));
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let text = |before: &str, signing: &str, now| text(before, signing, at(now), HOUR);
        const HOUR: SignedDuration = SignedDuration::from_hours(1);
        let alone = |line: &str| format!("{line}\n");
        let both = format!("{new}\n# until 1970-01-01T01:00:10Z\n{old}\n");

        assert_eq!(text("", &old, 0), alone(&old));
        assert_eq!(text(&alone(&old), &old, 5), alone(&old));
        assert_eq!(text(&alone(&old), &new, 10), both);
        // The time is not put off, and ends.
        assert_eq!(text(&both, &new, 3609), both);
        assert_eq!(text(&both, &new, 3610), alone(&new));
        // A line that somebody has taken out stays out.
        assert_eq!(text(&alone(&new), &new, 20), alone(&new));
        // The old key comes back, with another comment.
        let back = format!("{old}\n# until 1970-01-01T01:00:20Z\n{new}\n");
        assert_eq!(
            text(&both.replace(&old, &format!("{old} c")), &old, 20),
            back
        );
        // Lines that are no keys are not kept.
        let odd = format!("{old}\nssh-ed25519 nonsense\n# until soon\n\nsecret");
        assert_eq!(text(&odd, &old, 0), alone(&old));
    }
}
