//! Pure: the containers that a text of /proc/PID/cgroup names (cgroups(7)). A container may give the groups
//! below its own any name.

/// The container of a process as each hierarchy has it, by the process's text and this program's own.
pub(crate) fn containers(theirs: &str, own: &str) -> Vec<String> {
    let found = theirs.lines().filter_map(|line| {
        let (hierarchy, path) = group(line)?;
        let mine = own.lines().filter_map(group).find(|one| one.0 == hierarchy);
        container_of(path, mine.unwrap_or_default().1).map(str::to_owned)
    });
    found.collect()
}

/// Hierarchy and path of a line of /proc/PID/cgroup (cgroups(7)).
fn group(line: &str) -> Option<(&str, &str)> {
    let (hierarchy, rest) = line.split_once(':')?;
    Some((hierarchy, rest.split_once(':')?.1))
}

/// The container's id in a control group's path. A container may make groups of any name below its own
/// group, so the first id counts. A path that this process has too names something that holds the whole
/// node (a node that is itself a container).
fn container_of<'a>(path: &'a str, own: &str) -> Option<&'a str> {
    let (path, own) = (path.split('/'), own.split('/'));
    let mut shared = own.map(Some).chain(std::iter::repeat(None));
    let mut below = path.skip_while(move |word| shared.next() == Some(Some(*word)));
    below.find_map(id)
}

/// The id in one component: `ID`, `cri-containerd-ID.scope`, `crio-ID.scope`, and `POD:cri-containerd:ID`
/// where the runtime makes the groups itself below systemd's.
fn id(component: &str) -> Option<&str> {
    let word = component.trim_end_matches(".scope");
    let (front, id) = match word.rsplit_once(['-', ':']) {
        Some((front, id)) => (front, id),
        None => ("", word),
    };
    // cri-o has a group for a container's monitor beside the container's own.
    let sound = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    (sound && front != "crio-conmon").then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_names_its_container() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let check = |path: &str, own: &str, expect: Option<&str>| {
            assert_eq!(container_of(path, own), expect, "{path} seen from {own}");
        };
        check(&format!("/k8s.io/{a}"), "/", Some(&a));
        let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice";
        check(&format!("{pod}/cri-containerd-{a}.scope"), "/", Some(&a));
        check(&format!("{pod}/crio-{a}.scope/container"), "/", Some(&a));
        check(&format!("{pod}:cri-containerd:{a}"), "/", Some(&a));
        check(&format!("{pod}/crio-conmon-{a}.scope"), "/", None);
        // A group of another's name, made in one's own container.
        check(&format!("/k8s.io/{a}/{b}"), "/", Some(&a));
        // A node that runs in a container.
        check(
            &format!("/docker/{b}/k8s.io/{a}"),
            &format!("/docker/{b}"),
            Some(&a),
        );
        check(&format!("/docker/{b}/x"), &format!("/docker/{b}"), None);
        check("/system.slice/ssh.service", "/", None);
        check(&format!("/../../{a}"), "/", Some(&a));
    }

    #[test]
    fn a_group_of_any_bytes_is_in_its_container() {
        let a = "a".repeat(64);
        let line = [b"0::/kubepods/", a.as_bytes(), b"/\xff\xfe\n"].concat();
        let line = String::from_utf8_lossy(&line).into_owned();
        let (_, path) = group(line.trim_end()).unwrap();
        assert_eq!(container_of(path, "/"), Some(a.as_str()));
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fuzz/corpus/control_groups"
        );
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let (theirs, own) = text.split_once('\0').unwrap();
            let ids = containers(theirs, own);
            assert!(
                ids.iter()
                    .all(|id| id.len() == 64 && theirs.contains(id.as_str()))
            );
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
