//! Who may do what by RBAC objects, decided and worded as kube-apiserver's authorizer does
//! (`plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation`).

mod builder;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use builder::{Rbac, group, rule, service_account, user};

use super::asked::Asked;
use super::callers::{Caller, MASTERS};

/// What the authorizer says, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) allowed: bool,
    /// Empty for none.
    pub(super) reason: String,
}

impl Rbac {
    pub(super) fn decide(&self, caller: &Caller, asked: &Asked) -> Decision {
        let allowed = |reason| Decision {
            allowed: true,
            reason,
        };
        // An authorizer of its own, and the first.
        if caller.groups.iter().any(|group| group == MASTERS) {
            return allowed(String::new());
        }
        let mut missing = Vec::new();
        let cluster = self.cluster_role_bindings.iter().map(|binding| {
            let name = name(&binding.metadata).to_owned();
            let which = ("ClusterRoleBinding", name);
            (which, "", &binding.role_ref, &binding.subjects)
        });
        let of_namespace = |binding: &&RoleBinding| {
            !asked.namespace.is_empty() && namespace(&binding.metadata) == asked.namespace
        };
        let in_namespace = self.role_bindings.iter().filter(of_namespace);
        let in_namespace = in_namespace.map(|binding| {
            let namespace = namespace(&binding.metadata);
            let which = (
                "RoleBinding",
                format!("{}/{namespace}", name(&binding.metadata)),
            );
            (which, namespace, &binding.role_ref, &binding.subjects)
        });
        for ((kind, binding), namespace, role, subjects) in cluster.chain(in_namespace) {
            let mut subjects = subjects.iter().flatten();
            let Some(subject) = subjects.find(|subject| is(subject, namespace, caller)) else {
                continue;
            };
            match self.rules(role, namespace) {
                Err(error) => missing.push(error),
                Ok(rules) if rules.iter().any(|rule| allows(rule, asked)) => {
                    let (role_kind, role, who) = (&role.kind, &role.name, say(subject, namespace));
                    return allowed(format!(
                        "RBAC: allowed by {kind} {binding:?} of {role_kind} {role:?} to {who}"
                    ));
                }
                Ok(_) => {}
            }
        }
        let reason = match missing.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            all => format!("RBAC: [{}]", all.join(", ")),
        };
        Decision {
            allowed: false,
            reason,
        }
    }

    fn rules(&self, role: &RoleRef, of: &str) -> Result<&[PolicyRule], String> {
        let found = if role.kind == "Role" {
            let is =
                |one: &&Role| name(&one.metadata) == role.name && namespace(&one.metadata) == of;
            self.roles.iter().find(is).map(|role| &role.rules)
        } else {
            let is = |one: &&ClusterRole| name(&one.metadata) == role.name;
            self.cluster_roles.iter().find(is).map(|role| &role.rules)
        };
        match found {
            Some(rules) => Ok(rules.as_deref().unwrap_or_default()),
            None => {
                let kind = role.kind.to_lowercase();
                let name = &role.name;
                Err(format!(
                    "{kind}.rbac.authorization.k8s.io {name:?} not found"
                ))
            }
        }
    }
}

fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

fn namespace(metadata: &ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

/// Whether a subject of a binding in this namespace is the caller.
fn is(subject: &Subject, of: &str, caller: &Caller) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == caller.name,
        "Group" => caller.groups.contains(&subject.name),
        "ServiceAccount" => {
            let namespace = namespace_of(subject, of);
            let name = format!("system:serviceaccount:{namespace}:{}", subject.name);
            !namespace.is_empty() && name == caller.name
        }
        _ => false,
    }
}

fn namespace_of<'a>(subject: &'a Subject, of: &'a str) -> &'a str {
    let own = subject.namespace.as_deref();
    own.filter(|own| !own.is_empty()).unwrap_or(of)
}

fn say(subject: &Subject, of: &str) -> String {
    let (kind, name) = (&subject.kind, &subject.name);
    if kind == "ServiceAccount" {
        return format!("{kind} \"{name}/{}\"", namespace_of(subject, of));
    }
    format!("{kind} {name:?}")
}

/// Whether a rule allows a request for a resource.
fn allows(rule: &PolicyRule, asked: &Asked) -> bool {
    let has = |list: &[String], one: &str| list.iter().any(|is| is == "*" || is == one);
    let of = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let (resources, names) = (of(&rule.resources), of(&rule.resource_names));
    let subresource = asked.resource.split_once('/');
    let every = subresource.map(|(_, subresource)| format!("*/{subresource}"));
    has(&rule.verbs, &asked.verb)
        && has(&of(&rule.api_groups), &asked.group)
        && (has(&resources, &asked.resource) || every.is_some_and(|it| resources.contains(&it)))
        && (names.is_empty() || names.contains(&asked.name))
}
