//! How names from a source become names of Kubernetes. Names that Kubernetes reserves are accepted only
//! from a source that is trusted with them.

use std::collections::BTreeMap;

use podgate_proto::limits::MAX_IDENTITY;

use crate::identity::{Identity, Source};

/// Why a name is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says it")]
pub enum Error {
    #[error("a name or group is empty")]
    Empty,
    #[error("{0:?} contains a control character")]
    Control(String),
    #[error("{0:?}: names and groups that begin with system: are Kubernetes' own")]
    System(String),
    #[error("name, groups and extra fields take more than {MAX_IDENTITY} bytes")]
    Long,
    #[error(
        "{0:?} is not a valid key of extra: it must be lower case and outside Kubernetes' own domains"
    )]
    Extra(String),
}

/// How the names of one source are changed and checked.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Put before each user's name.
    pub user_prefix: String,
    /// Put before each group's name.
    pub group_prefix: String,
    /// Whether the source may give names that begin with `system:`.
    pub trust_system: bool,
}

impl Names {
    /// Adds the prefixes, and checks the resulting names against those that Kubernetes keeps.
    pub fn identity(
        &self,
        user: &str,
        groups: &[String],
        extra: BTreeMap<String, Vec<String>>,
        source: Source,
    ) -> Result<Identity, Error> {
        let values = extra
            .iter()
            .flat_map(|(key, values)| values.iter().chain([key]));
        let texts = groups
            .iter()
            .chain(values)
            .map(|text| text.len() + self.group_prefix.len());
        // An agent refuses more (agent.proto, Identity).
        if texts.sum::<usize>() + user.len() > MAX_IDENTITY {
            return Err(Error::Long);
        }
        let groups = groups
            .iter()
            .map(|group| self.name(&self.group_prefix, group));
        let reserved = |key: &str| {
            let domain = key.split('/').next().unwrap_or_default();
            ["kubernetes.io", "k8s.io"]
                .iter()
                .any(|own| domain == *own || domain.ends_with(&format!(".{own}")))
        };
        // The API server's rule for keys in a configuration (KEP-3331).
        let unfit = |key: &&String| {
            key.is_empty() || **key != key.to_lowercase() || (!self.trust_system && reserved(key))
        };
        if let Some(key) = extra.keys().find(unfit) {
            return Err(Error::Extra(key.clone()));
        }
        Ok(Identity {
            user: self.name(&self.user_prefix, user)?,
            groups: groups.collect::<Result<_, _>>()?,
            extra,
            source,
        })
    }

    fn name(&self, prefix: &str, name: &str) -> Result<String, Error> {
        if name.is_empty() {
            return Err(Error::Empty);
        }
        let name = format!("{prefix}{name}");
        if name.chars().any(char::is_control) {
            return Err(Error::Control(name));
        }
        if !self.trust_system && name.starts_with("system:") {
            return Err(Error::System(name));
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_prefix_and_kubernetes_keeps_its_own() {
        let names = |user: &str, group: &str, trust_system| Names {
            user_prefix: user.to_owned(),
            group_prefix: group.to_owned(),
            trust_system,
        };
        let check =
            |names: &Names, user: &str, group: &str, expect: Result<(&str, &str), Error>| {
                let groups = [group.to_owned()];
                let found = names.identity(user, &groups, BTreeMap::new(), Source::Key);
                let found = found.map(|found| (found.user, found.groups.concat()));
                let expect = expect.map(|(user, group)| (user.to_owned(), group.to_owned()));
                assert_eq!(found, expect, "{names:?} {user} {group}");
            };
        let plain = names("", "", false);
        let system = |name: &str| Err(Error::System(name.to_owned()));
        check(&plain, "ada", "dev", Ok(("ada", "dev")));
        check(&plain, "", "dev", Err(Error::Empty));
        check(&plain, "ada", "", Err(Error::Empty));
        check(&plain, "a\nb", "dev", Err(Error::Control("a\nb".into())));
        check(&plain, "ada", &"x".repeat(MAX_IDENTITY), Err(Error::Long));
        check(&plain, "system:admin", "dev", system("system:admin"));
        check(&plain, "ada", "system:masters", system("system:masters"));
        check(
            &names("ssh:", "ssh:", false),
            "system:admin",
            "system:masters",
            Ok(("ssh:system:admin", "ssh:system:masters")),
        );
        // The check is of the name with its prefix.
        check(&names("sys", "", false), "tem:x", "dev", system("system:x"));
        check(
            &names("", "", true),
            "system:admin",
            "system:masters",
            Ok(("system:admin", "system:masters")),
        );
    }

    #[test]
    fn extra_is_lower_case_and_not_kubernetes_own() {
        let check = |key: &str, trust_system, fits| {
            let names = Names {
                trust_system,
                ..Names::default()
            };
            let extra = BTreeMap::from([(key.to_owned(), vec!["x".to_owned()])]);
            let found = names.identity("ada", &[], extra, Source::Key);
            assert_eq!(found.is_ok(), fits, "{key:?}");
        };
        check("example.com/team", false, true);
        check("team", false, true);
        check("Team", false, false);
        check("", false, false);
        check("authentication.kubernetes.io/node-name", false, false);
        check("authentication.kubernetes.io/node-name", true, true);
        check("k8s.io/x", false, false);
        check("mykubernetes.io/x", false, true);
    }
}
