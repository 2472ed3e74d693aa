//! What a container may do, as the kubelet tells the runtime from a pod's securityContext.

use std::path::PathBuf;

use crate::real::cri::security_profile::ProfileType;
use crate::real::cri::{
    Capability, Int64Value, LinuxContainerSecurityContext, NamespaceOption, SecurityProfile,
};

/// By default all that the runtime lets a container do.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Whether it may do all that the node's root may.
    pub privileged: bool,
    /// None is the image's.
    pub group: Option<i64>,
    /// Beside its own.
    pub groups: Vec<i64>,
    /// Capabilities without `CAP_`; `ALL` is one.
    pub add: Vec<String>,
    /// The same.
    pub drop: Vec<String>,
    /// Whether its root cannot be written to.
    pub read_only_root: bool,
    /// Whether no program of it can have more than itself (`allowPrivilegeEscalation: false`).
    pub no_new_privileges: bool,
    /// How its system calls are filtered.
    pub seccomp: Seccomp,
}

/// How its system calls are filtered.
#[derive(Debug, Clone, Default)]
pub enum Seccomp {
    /// Not at all.
    #[default]
    Unconfined,
    /// By the runtime's own list.
    RuntimeDefault,
    /// By this file.
    Localhost(PathBuf),
}

/// What the kubelet hides from every container, or keeps from being written (ProcMountType Default); the
/// runtime leaves it out for privileged ones.
const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

impl Security {
    pub(super) fn context(
        &self,
        user: Option<i64>,
        namespaces: NamespaceOption,
    ) -> LinuxContainerSecurityContext {
        let id = |id: Option<i64>| id.map(|value| Int64Value { value });
        let profile = |profile_type: ProfileType, localhost_ref| SecurityProfile {
            profile_type: profile_type.into(),
            localhost_ref,
        };
        let seccomp = match &self.seccomp {
            Seccomp::Unconfined => None,
            Seccomp::RuntimeDefault => Some(profile(ProfileType::RuntimeDefault, String::new())),
            Seccomp::Localhost(file) => {
                Some(profile(ProfileType::Localhost, file.display().to_string()))
            }
        };
        LinuxContainerSecurityContext {
            capabilities: Some(Capability {
                add_capabilities: self.add.clone(),
                drop_capabilities: self.drop.clone(),
            }),
            privileged: self.privileged,
            masked_paths: MASKED.iter().map(|&path| path.to_owned()).collect(),
            readonly_paths: READ_ONLY.iter().map(|&path| path.to_owned()).collect(),
            namespace_options: Some(namespaces),
            run_as_user: id(user),
            readonly_rootfs: self.read_only_root,
            supplemental_groups: self.groups.clone(),
            no_new_privs: self.no_new_privileges,
            run_as_group: id(self.group),
            seccomp,
        }
    }
}
