//! What a login name means, and what it can resolve to. Pure: no I/O, no lookup.
//!
//! `name[.namespace][+container]`: the namespace stands after the last dot, so a pod's name that has
//! dots needs one. Names are what Kubernetes takes for names, and nothing else gets past here.

/// A pod, and maybe a container, as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name, if one was given.
    pub container: Option<String>,
}

/// Why a login name names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{part} is not a name in Kubernetes; log in as name[.namespace][+container]")]
pub struct Error {
    /// The part of the login name that is amiss.
    pub part: &'static str,
}

impl Target {
    /// Reads a login name.
    pub fn parse(login: &str, default_namespace: &str) -> Result<Self, Error> {
        let (name, container) = match login.split_once('+') {
            Some((name, container)) => (name, Some(container)),
            None => (login, None),
        };
        let (pod, namespace) = name.rsplit_once('.').unwrap_or((name, default_namespace));
        let check = |part, sound| if sound { Ok(()) } else { Err(Error { part }) };
        check("the pod", is_subdomain(pod))?;
        check("the namespace", is_label(namespace))?;
        check("the container", container.is_none_or(is_label))?;
        Ok(Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.map(str::to_owned),
        })
    }
}

/// Whether `text` is a DNS label (RFC 1123), as namespaces and containers are named.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_word(text)
}

fn is_word(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether `text` is a subdomain as Kubernetes names pods: bounded as a whole, not label by label
/// (k8s.io/apimachinery, IsDNS1123Subdomain).
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_word)
}

/// A pod as the cluster has it, down to what a session needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, as its kubelet knows it.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// That node's InternalIP.
    pub node_address: std::net::IpAddr,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// Its containers of every kind, the ordinary ones first, in the spec's order.
    pub containers: Vec<Container>,
    /// The container that `kubectl exec` would choose, too.
    pub default_container: Option<String>,
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its id as `<runtime>://<id>`, if it runs.
    pub running: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(namespace: &str, pod: &str, container: Option<&str>) -> Result<Target, &'static str> {
        Ok(Target {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.map(str::to_owned),
        })
    }

    #[test]
    fn the_grammar_by_example() {
        let check = |login: &str, expect: Result<Target, &'static str>| {
            assert_eq!(
                Target::parse(login, "team").map_err(|e| e.part),
                expect,
                "{login:?}"
            );
        };
        check("web-0", target("team", "web-0", None));
        check("web-0.prod", target("prod", "web-0", None));
        check("web-0+sidecar", target("team", "web-0", Some("sidecar")));
        check(
            "web-0.prod+sidecar",
            target("prod", "web-0", Some("sidecar")),
        );
        check("a.b.c.prod", target("prod", "a.b.c", None));
        check("7.8", target("8", "7", None));
        for pod in [
            "", "Web", "-a", "a-", "a_b", "a/b", "a b", "ä", ".prod", "a..prod", "..", "~a",
        ] {
            check(pod, Err("the pod"));
        }
        check("web-0.", Err("the namespace"));
        check("web-0.Prod", Err("the namespace"));
        check("web-0+", Err("the container"));
        check("web-0+a+b", Err("the container"));
        check("web-0+a.b", Err("the container"));
        check(&"a".repeat(64), target("team", &"a".repeat(64), None));
        check(&"a".repeat(254), Err("the pod"));
        check(&format!("a.{}", "b".repeat(64)), Err("the namespace"));
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/target");
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            if let Ok(target) = Target::parse(&String::from_utf8_lossy(&bytes), "default") {
                assert!(is_subdomain(&target.pod) && is_label(&target.namespace));
            }
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
