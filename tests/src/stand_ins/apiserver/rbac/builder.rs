//! The RBAC objects of a cluster, built in the few words that tests need.

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// A rule for these verbs on these resources of these API groups, as `(&["create"], &[""],
/// &["pods/exec"])`.
pub fn rule(verbs: &[&str], api_groups: &[&str], resources: &[&str]) -> PolicyRule {
    PolicyRule {
        verbs: owned(verbs),
        api_groups: Some(owned(api_groups)),
        resources: Some(owned(resources)),
        ..PolicyRule::default()
    }
}

/// A user as the subject of a binding.
pub fn user(name: &str) -> Subject {
    subject("User", name, None)
}

/// A group as the subject of a binding.
pub fn group(name: &str) -> Subject {
    subject("Group", name, None)
}

/// A ServiceAccount as the subject of a binding.
pub fn service_account(namespace: &str, name: &str) -> Subject {
    subject("ServiceAccount", name, Some(namespace))
}

/// The RBAC objects of a cluster; without any, nobody may do anything.
#[derive(Clone, Debug, Default)]
pub struct Rbac {
    /// Roles of all namespaces.
    pub roles: Vec<Role>,
    /// Cluster roles; aggregation is not done.
    pub cluster_roles: Vec<ClusterRole>,
    /// Role bindings of all namespaces.
    pub role_bindings: Vec<RoleBinding>,
    /// Cluster role bindings.
    pub cluster_role_bindings: Vec<ClusterRoleBinding>,
}

impl Rbac {
    /// With a Role.
    #[must_use]
    pub fn role(mut self, namespace: &str, name: &str, rules: &[PolicyRule]) -> Self {
        self.roles.push(Role {
            metadata: metadata(namespace, name),
            rules: Some(rules.to_vec()),
        });
        self
    }

    /// With a ClusterRole.
    #[must_use]
    pub fn cluster_role(mut self, name: &str, rules: &[PolicyRule]) -> Self {
        self.cluster_roles.push(ClusterRole {
            metadata: metadata("", name),
            rules: Some(rules.to_vec()),
            ..ClusterRole::default()
        });
        self
    }

    /// With a RoleBinding of a role, which is `Role/<name>` or `ClusterRole/<name>`.
    #[must_use]
    pub fn bind(mut self, namespace: &str, name: &str, role: &str, to: &[Subject]) -> Self {
        self.role_bindings.push(RoleBinding {
            metadata: metadata(namespace, name),
            role_ref: role_ref(role),
            subjects: Some(to.to_vec()),
        });
        self
    }

    /// With a ClusterRoleBinding of a ClusterRole.
    #[must_use]
    pub fn bind_everywhere(mut self, name: &str, cluster_role: &str, to: &[Subject]) -> Self {
        self.cluster_role_bindings.push(ClusterRoleBinding {
            metadata: metadata("", name),
            role_ref: role_ref(cluster_role),
            subjects: Some(to.to_vec()),
        });
        self
    }
}

fn role_ref(role: &str) -> RoleRef {
    let (kind, name) = role.split_once('/').unwrap_or(("ClusterRole", role));
    RoleRef {
        api_group: Some(API_GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
    }
}

fn subject(kind: &str, name: &str, namespace: Option<&str>) -> Subject {
    Subject {
        api_group: namespace.is_none().then(|| API_GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    }
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
