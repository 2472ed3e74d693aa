//! All privileges that the chart gives to anybody. The table is the claim; any rendered privilege
//! beyond it fails.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};

use super::objects::pod;
use super::rendered::Object;

type Checked = Result<(), String>;

/// What a rule may say: role, group, resources, verbs, and whether it must name its objects.
const RULES: &[(&str, &str, &str, &str, bool)] = &[
    ("ClusterRole/agent", "", "nodes/proxy", "create", false),
    ("ClusterRole/agent", "", "nodes/pods", "get", false),
    // Where kubelet.fineGrainedAuthorization is off.
    ("ClusterRole/agent", "", "nodes/proxy", "get", false),
    (
        "ClusterRole/frontdoor",
        "authorization.k8s.io",
        "subjectaccessreviews",
        "create",
        false,
    ),
    ("ClusterRole/frontdoor", "", "pods", "get list watch", false),
    // Where frontdoor.watchPods is off.
    ("ClusterRole/frontdoor", "", "pods", "get list", false),
    (
        "ClusterRole/frontdoor",
        "apps",
        "deployments statefulsets daemonsets replicasets",
        "get",
        false,
    ),
    ("ClusterRole/frontdoor", "batch", "jobs", "get", false),
    ("ClusterRole/frontdoor", "", "services", "get", false),
    // Of whoever may read recordings: no part has it.
    (
        "ClusterRole/recordings",
        "podgate.io",
        "recordings",
        "list get",
        false,
    ),
    ("Role/frontdoor", "", "pods", "get list watch", false),
    ("Role/frontdoor", "", "secrets", "get update", true),
    (
        "ClusterRole/signer",
        "authentication.k8s.io",
        "tokenreviews",
        "create",
        false,
    ),
    (
        "ClusterRole/replay",
        "authorization.k8s.io",
        "subjectaccessreviews",
        "create",
        false,
    ),
    (
        "ClusterRole/replay",
        "authentication.k8s.io",
        "tokenreviews",
        "create",
        false,
    ),
    ("Role/replay", "", "secrets", "get update", true),
    ("Role/signer", "", "secrets", "get update", true),
    ("Role/signer", "", "configmaps", "get update", true),
    ("Role/test", "", "pods/exec", "create", true),
];

/// The node helper's, and nobody else has any.
const CAPABILITIES: [&str; 3] = ["KILL", "SYS_PTRACE", "DAC_READ_SEARCH"];

/// What of the node may be mounted, by volume. All but the first are where values name a folder.
const HOST_PATHS: [&str; 4] = ["kubelet-certificate", "journal", "tls", "entry-journal"];

/// What those see that have more privilege than others, by container: these volumes and no others.
const VOLUMES: [(&str, &[&str]); 2] = [
    ("node-helper", &["node"]),
    ("node-entry", &["entry", "entry-journal"]),
];

/// Nobody has more than the tables say.
pub(super) fn hold(objects: &[Object]) -> Checked {
    directly(objects)?;
    for object in objects {
        if let Some(pod) = pod(object) {
            pod_holds(&pod).map_err(|why| format!("{}: {why}", object.file))?;
        }
        let kind = object.object["kind"].as_str().unwrap_or_default();
        if matches!(kind, "ClusterRole" | "Role") {
            // Roles and ClusterRoles have the same rules.
            let mut role = object.object.clone();
            role["kind"] = "ClusterRole".into();
            let role: ClusterRole = serde_json::from_value(role).map_err(|e| e.to_string())?;
            let component = role.metadata.labels.unwrap_or_default();
            let component = component["app.kubernetes.io/component"].clone();
            for rule in role.rules.iter().flatten() {
                rule_holds(&format!("{kind}/{component}"), rule)?;
            }
        }
    }
    Ok(())
}

/// An agent that starts everything by the node entry has no right to exec.
fn directly(objects: &[Object]) -> Checked {
    let config = objects
        .iter()
        .find_map(|it| it.object["data"]["agent.yaml"].as_str());
    let is_direct = config.is_some_and(|it| it.lines().any(|line| line == "runtime: direct"));
    let role = |it: &&Object| it.object["kind"] == "ClusterRole" && it.file == "agent/rbac.yaml";
    let role = objects.iter().find(role).ok_or("no role of the agent's")?;
    let rules = role.object["rules"].as_array();
    let may_exec = rules.into_iter().flatten().any(|rule| {
        let holds = |key: &str, word: &str| {
            let words = rule[key].as_array();
            words.is_some_and(|it| it.iter().any(|it| it == word))
        };
        holds("resources", "nodes/proxy") && holds("verbs", "create")
    });
    match may_exec == is_direct {
        true => Err(format!("direct: {is_direct}, may exec: {may_exec}")),
        false => Ok(()),
    }
}

fn rule_holds(role: &str, rule: &PolicyRule) -> Checked {
    let join = |words: &Option<Vec<String>>| words.clone().unwrap_or_default().join(" ");
    let named = rule
        .resource_names
        .iter()
        .flatten()
        .any(|name| !name.is_empty());
    let (groups, resources) = (join(&rule.api_groups), join(&rule.resources));
    let verbs = rule.verbs.join(" ");
    let said = (
        role,
        groups.as_str(),
        resources.as_str(),
        verbs.as_str(),
        named,
    );
    let known = RULES.contains(&said) && rule.non_resource_urls.is_none();
    known
        .then_some(())
        .ok_or_else(|| format!("{said:?} is in no table"))
}

fn pod_holds(pod: &PodSpec) -> Checked {
    let named = |name: &str| VOLUMES.iter().any(|(needs, _)| *needs == name);
    let needs = pod.containers.iter().any(|one| named(&one.name));
    if pod.host_pid.unwrap_or_default() != needs {
        return Err("hostPID is for node helper and node entry alone".into());
    }
    if pod.host_network.is_some() || pod.host_ipc.is_some() || pod.host_users.is_some() {
        return Err("a namespace of the node".into());
    }
    if pod.automount_service_account_token != Some(false) {
        return Err("a token is mounted that nobody asked for".into());
    }
    for volume in pod.volumes.iter().flatten() {
        if volume.host_path.is_some() && !HOST_PATHS.contains(&volume.name.as_str()) {
            return Err(format!("{} is the node's", volume.name));
        }
    }
    if pod.init_containers.is_some() || pod.ephemeral_containers.is_some() {
        return Err("a container that nobody looked at".into());
    }
    for container in &pod.containers {
        container_holds(container, pod).map_err(|why| format!("{}: {why}", container.name))?;
    }
    Ok(())
}

fn container_holds(container: &Container, pod: &PodSpec) -> Checked {
    let given = container.security_context.clone().unwrap_or_default();
    let mounts = container.volume_mounts.iter().flatten();
    if let Some((_, volumes)) = VOLUMES.iter().find(|(name, _)| *name == container.name)
        && mounts
            .clone()
            .any(|it| !volumes.contains(&it.name.as_str()))
    {
        return Err("sees more than it needs".into());
    }
    if container.name == "node-entry" {
        // What it starts can have no more than itself. It listens to nobody outside of its pod.
        let is_whole = given.privileged == Some(true) && given.allow_privilege_escalation.is_none();
        let is_root = given.run_as_user == Some(0) && given.capabilities.is_none();
        let is_closed = given.read_only_root_filesystem == Some(true) && container.ports.is_none();
        return match is_whole && is_root && is_closed && container.env.is_none() {
            true => Ok(()),
            false => Err("is not as the entry must be".into()),
        };
    }
    let seccomp = given.seccomp_profile.map(|profile| profile.type_);
    if seccomp.as_deref() != Some("RuntimeDefault") {
        return Err("no seccomp profile".into());
    }
    if given.privileged.is_some() || given.proc_mount.is_some() {
        return Err("privileged".into());
    }
    if given.allow_privilege_escalation != Some(false) {
        return Err("may escalate".into());
    }
    if given.read_only_root_filesystem != Some(true) {
        return Err("may write to its root".into());
    }
    let capabilities = given.capabilities.unwrap_or_default();
    if capabilities.drop.as_deref() != Some(&["ALL".to_owned()]) {
        return Err("keeps the runtime's capabilities".into());
    }
    let user = pod
        .security_context
        .as_ref()
        .and_then(|pod| pod.run_as_user);
    let user = given.run_as_user.or(user);
    if container.name == "node-helper" {
        let added = capabilities.add.unwrap_or_default();
        return match added == CAPABILITIES && container.ports.is_none() {
            true => Ok(()),
            false => Err(format!("has {added:?}")),
        };
    }
    if capabilities.add.is_some() {
        return Err("has capabilities".into());
    }
    if given.run_as_non_root != Some(true) || user.is_none_or(|user| user == 0) {
        return Err("may be root".into());
    }
    for mount in mounts.filter(|mount| mount.read_only != Some(true)) {
        if !matches!(
            mount.name.as_str(),
            "journal" | "tmp" | "user-ca" | "recordings" | "recordings-spool"
        ) {
            return Err(format!("may write to {}", mount.name));
        }
    }
    Ok(())
}

/// Each rule of RBAC has a line before it that says what it is for.
pub(super) fn each_rule_says_why(texts: &BTreeMap<String, String>) -> Checked {
    let mut rules = 0;
    for (file, text) in texts.iter().filter(|(file, _)| file.ends_with("rbac.yaml")) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            if pair[1].starts_with("- apiGroups:") {
                rules += 1;
                if !pair[0].starts_with("# ") {
                    return Err(format!("{file}: nothing says why {}", pair[1]));
                }
            }
        }
    }
    match rules {
        0 => Err("no rules were seen".into()),
        _ => Ok(()),
    }
}
