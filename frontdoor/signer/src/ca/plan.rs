//! Pure: decides which CAs are trusted, and which of them issues. A new CA is trusted for a while
//! before it issues, and an old one until its certificates have expired. Parts hear of a change at
//! different times, but each trusts every valid certificate at every moment.

/// A trusted CA. Times are in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trusted<C> {
    pub(super) ca: C,
    /// When it came into the bundle.
    pub(super) since: u64,
    /// When it leaves the bundle; `None` while it issues or is going to.
    pub(super) until: Option<u64>,
}

/// Durations in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Until all parts know of a change.
    pub(super) spread: u64,
    /// The longest lifetime of a certificate.
    pub(super) lifetime: u64,
}

/// Returns the CAs to trust from now on, and the index in `keys` of the CA that issues. `keys` are the
/// CAs that can sign, the newest first. None issues until all parts can know it.
pub(super) fn plan<C: Clone + PartialEq>(
    now: u64,
    bundle: &[Trusted<C>],
    keys: &[C],
    times: Times,
) -> (Vec<Trusted<C>>, Option<usize>) {
    // While nothing is trusted, no part has to be told first.
    let since = if bundle.is_empty() { 0 } else { now };
    let mut trusted = Vec::new();
    for ca in keys {
        let known = bundle.iter().find(|known| known.ca == *ca);
        trusted.push(Trusted {
            ca: ca.clone(),
            since: known.map_or(since, |known| known.since),
            until: None,
        });
    }
    let heard = |trusted: &Trusted<C>| trusted.since.saturating_add(times.spread) <= now;
    let issuer = trusted.iter().position(heard);
    // Another signer may issue by the old CA until it knows of the change, too.
    let last = now + times.lifetime + times.spread;
    let old = bundle.iter().filter(|known| !keys.contains(&known.ca));
    let old = old.map(|known| Trusted {
        until: known.until.or(Some(last)),
        ..known.clone()
    });
    trusted.extend(old.filter(|old| old.until.is_none_or(|until| until > now)));
    (trusted, issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        spread: 10,
        lifetime: 100,
    };

    fn step(now: u64, bundle: &mut Vec<Trusted<char>>, keys: &[char]) -> (String, Option<char>) {
        let (trusted, issuer) = plan(now, bundle, keys, TIMES);
        *bundle = trusted;
        let names = bundle.iter().map(|trusted| trusted.ca).collect();
        (names, issuer.map(|index| keys[index]))
    }

    #[test]
    fn a_rotation_from_begin_to_end() {
        let mut bundle = Vec::new();
        let mut check = |now, keys: &[char], names: &str, issuer| {
            let found = step(now, &mut bundle, keys);
            assert_eq!(found, (names.to_owned(), issuer), "{now}");
        };
        // The first CA issues at once, because nobody has to be told first.
        check(1000, &['a'], "a", Some('a'));
        // The next CA is trusted, and does not issue before all have heard of it.
        check(2000, &['b', 'a'], "ba", Some('a'));
        check(2009, &['b', 'a'], "ba", Some('a'));
        check(2010, &['b', 'a'], "ba", Some('b'));
        // The previous CA is trusted for as long as its last certificate.
        check(2011, &['b'], "ba", Some('b'));
        check(2120, &['b'], "ba", Some('b'));
        check(2121, &['b'], "b", Some('b'));
    }

    #[test]
    fn a_ca_that_comes_alone_waits() {
        let mut bundle = Vec::new();
        let mut check = |now, keys: &[char], names: &str, issuer| {
            let found = step(now, &mut bundle, keys);
            assert_eq!(found, (names.to_owned(), issuer), "{now}");
        };
        check(1000, &['a'], "a", Some('a'));
        // Somebody else replaced the key. What it issues would not be trusted everywhere yet.
        check(2000, &['b'], "ba", None);
        check(2010, &['b'], "ba", Some('b'));
        // The old CA comes back in between.
        check(2020, &['a'], "ab", Some('a'));
        assert_eq!(bundle.first().map(|a| a.until), Some(None));
    }
}
