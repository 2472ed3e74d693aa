//! From a pod's template to what the runtime is told, as the kubelet translates it
//! (`pkg/kubelet/kuberuntime`).

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1 as core;

use super::pod_fields::PodFields;
use super::volumes::Volumes;
use crate::fixtures::entry::launcher;
use crate::fixtures::gateway::binary;
use crate::fixtures::images::Image;
use crate::real::containerd::{ContainerSpec, PodSpec, Seccomp, Security};
use crate::real::cri::Mount;

/// What the runtime is told. Each container has `environment` beside its own, and the machine's
/// `hosts` as its /etc/hosts.
pub(super) fn spec(
    pod: &core::PodSpec,
    fields: &PodFields,
    volumes: &Volumes,
    environment: &[(String, String)],
    hosts: &Path,
) -> Result<PodSpec> {
    ensure!(
        pod.init_containers.is_none(),
        "init containers are not known here"
    );
    ensure!(
        pod.host_network != Some(true),
        "the host network is not known here"
    );
    let of_pod = pod.security_context.clone().unwrap_or_default();
    let mut spec = PodSpec::new(&fields.name)
        .namespace(&fields.namespace)
        .uid(&fields.uid)
        .own_network();
    spec.joined = Some(fields.joined.clone());
    spec.host_pid = pod.host_pid.unwrap_or_default();
    for container in &pod.containers {
        let translated = translate(container, &of_pod, fields, volumes, environment, hosts);
        let translated = translated.with_context(|| format!("container {}", container.name))?;
        spec = spec.container(translated);
    }
    Ok(spec)
}

fn translate(
    container: &core::Container,
    of_pod: &core::PodSecurityContext,
    fields: &PodFields,
    volumes: &Volumes,
    environment: &[(String, String)],
    hosts: &Path,
) -> Result<ContainerSpec> {
    let own = container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(of_pod.run_as_user);
    let non_root = own.run_as_non_root.or(of_pod.run_as_non_root);
    // The image's own user is not known here, and root if the Dockerfile names none.
    ensure!(
        non_root != Some(true) || user.is_some_and(|user| user != 0),
        "it is to run as another than root, and says not as whom"
    );
    let own_env = container.env.iter().flatten();
    let own_env = own_env.map(|one| variable(one, fields));
    let mut env = environment.to_vec();
    env.extend(own_env.collect::<Result<Vec<_>>>()?);
    let program = program(container.image.as_deref().unwrap_or_default())?;
    let command = container.command.clone();
    let command = command.unwrap_or_else(|| vec![format!("/{program}")]);
    let words = command.iter().chain(container.args.iter().flatten());
    let argv: Vec<_> = words.map(|word| expand(word, &env)).collect();
    let mut translated = ContainerSpec::new(&container.name, Image::Parts).argv(argv);
    translated.env = env;
    translated.user = Some(user.unwrap_or(0));
    translated.security = security(&own, of_pod)?;
    let file = |path: &str, of: &Path| Mount {
        container_path: path.to_owned(),
        host_path: of.to_string_lossy().into_owned(),
        readonly: true,
    };
    translated
        .mounts
        .push(file(&format!("/{program}"), &binary(program)?));
    if program == "podgate-node-entry" {
        let launcher = file("/podgate-launcher", &launcher()?);
        translated.mounts.push(launcher);
    }
    translated.mounts.push(file("/etc/hosts", hosts));
    for mount in container.volume_mounts.iter().flatten() {
        ensure!(mount.sub_path.is_none(), "a subPath is not known here");
        let folder = volumes.folder(&mount.name)?;
        translated.mounts.push(Mount {
            readonly: mount.read_only.unwrap_or_default(),
            ..file(&mount.mount_path, folder)
        });
    }
    Ok(translated)
}

/// The binary that an image's entry point is.
fn program(image: &str) -> Result<&'static str> {
    let name = image.rsplit('/').next().unwrap_or_default();
    let name = name.split([':', '@']).next().unwrap_or_default();
    Ok(match name {
        "frontdoor" => "podgate-frontdoor",
        "signer" => "podgate-signer",
        "agent" => "podgate-agent",
        "node-helper" => "podgate-node-helper",
        "node-entry" => "podgate-node-entry",
        other => bail!("no image of Podgate's is {other:?}"),
    })
}

fn security(own: &core::SecurityContext, of_pod: &core::PodSecurityContext) -> Result<Security> {
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let seccomp = own
        .seccomp_profile
        .as_ref()
        .or(of_pod.seccomp_profile.as_ref());
    let seccomp = match seccomp.map(|profile| profile.type_.as_str()) {
        None | Some("Unconfined") => Seccomp::Unconfined,
        Some("RuntimeDefault") => Seccomp::RuntimeDefault,
        Some(other) => bail!("the seccomp profile {other} is not known here"),
    };
    let groups = of_pod.supplemental_groups.iter().flatten().copied();
    Ok(Security {
        privileged: own.privileged.unwrap_or_default(),
        group: own.run_as_group.or(of_pod.run_as_group),
        groups: groups.chain(of_pod.fs_group).collect(),
        add: capabilities.add.unwrap_or_default(),
        drop: capabilities.drop.unwrap_or_default(),
        read_only_root: own.read_only_root_filesystem.unwrap_or_default(),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        seccomp,
    })
}

fn variable(variable: &core::EnvVar, fields: &PodFields) -> Result<(String, String)> {
    let value = match (&variable.value, &variable.value_from) {
        (Some(value), None) => value.clone(),
        (
            None,
            Some(core::EnvVarSource {
                field_ref: Some(field),
                ..
            }),
        ) => fields.field(&field.field_path)?.to_owned(),
        _ => bail!(
            "the variable {} is from what is not known here",
            variable.name
        ),
    };
    Ok((variable.name.clone(), value))
}

/// `$(NAME)` is a variable's value (`third_party/forked/golang/expansion`).
fn expand(word: &str, environment: &[(String, String)]) -> String {
    let known: BTreeMap<_, _> = environment
        .iter()
        .map(|(name, value)| (name, value))
        .collect();
    known
        .into_iter()
        .fold(word.to_owned(), |word, (name, value)| {
            word.replace(&format!("$({name})"), value)
        })
}
