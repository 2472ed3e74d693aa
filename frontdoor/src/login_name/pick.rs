//! Picks one of several pods for a session: the first of the ready ones. Where the candidates stand does
//! not matter.

/// A pod that a target may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub name: &'a str,
    /// Whether its condition `Ready` is `True`.
    pub ready: bool,
    /// Whether it is being deleted (`metadata.deletionTimestamp`). Such a pod may still be ready.
    pub deleted: bool,
    /// Its place in the order, the lowest first: the number of its sessions, say.
    pub order: u64,
}

/// No session can go to any of the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoneReady {
    /// There are no candidates.
    #[error("it has no pods")]
    NoPods,
    /// None is ready, or all ready ones are being deleted.
    #[error("none of its pods is ready (it has {0})")]
    OfSome(usize),
}

/// The ready pod of the lowest order; among equals, the first by name.
pub(crate) fn pick<'a>(candidates: &[Candidate<'a>]) -> Result<Candidate<'a>, NoneReady> {
    candidates
        .iter()
        .filter(|pod| pod.ready && !pod.deleted)
        .min_by_key(|pod| (pod.order, pod.name))
        .copied()
        .ok_or(match candidates.len() {
            0 => NoneReady::NoPods,
            pods => NoneReady::OfSome(pods),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ready_pod() {
        let check = |pods: &[(&'static str, &str, u64)], expect: Result<&str, NoneReady>| {
            let mut candidates: Vec<_> = pods
                .iter()
                .map(|&(name, state, order)| Candidate {
                    name,
                    ready: state != "starts",
                    deleted: state == "goes",
                    order,
                })
                .collect();
            let picked = pick(&candidates).map(|pod| pod.name);
            assert_eq!(picked, expect, "{pods:?}");
            candidates.reverse();
            assert_eq!(pick(&candidates).map(|pod| pod.name), expect, "{pods:?}");
        };
        check(&[("a", "ready", 2), ("b", "ready", 1)], Ok("b"));
        check(
            &[("b", "ready", 1), ("c", "ready", 2), ("a", "ready", 1)],
            Ok("a"),
        );
        check(
            &[("a", "starts", 0), ("b", "goes", 0), ("c", "ready", 9)],
            Ok("c"),
        );
        check(
            &[("a", "starts", 0), ("b", "goes", 0)],
            Err(NoneReady::OfSome(2)),
        );
        check(&[], Err(NoneReady::NoPods));
    }
}
