//! The table of examples, held row by row, and what would make it too long to read.

use super::*;

/// What a row of the table says of a login name.
fn meaning(login: &str) -> String {
    let target = match Target::parse(login, "default") {
        Ok(target) => target,
        Err(error) => {
            let error = error.to_string();
            let (reason, grammar) = error.split_once("; ").unwrap();
            assert_eq!(grammar, GRAMMAR);
            return format!("refused: {reason}");
        }
    };
    let (what, namespace, container) = match target {
        Target::Pod {
            namespace,
            name,
            container,
        } => (format!("pod {name}"), namespace, container),
        Target::Workload {
            kind,
            namespace,
            name,
            container,
        } => {
            let kind = format!("{kind:?}").to_lowercase();
            (
                format!("a ready pod of {kind} {name}"),
                namespace,
                container,
            )
        }
        Target::Labels {
            labels,
            namespace,
            container,
        } => {
            let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let what = format!("a ready pod with {}", labels.join(","));
            (what, namespace, container)
        }
        Target::Reserved(Reserved::Help) => return "this text".into(),
        Target::Reserved(Reserved::WhoAmI) => return "who you are here, and what says so".into(),
        Target::Reserved(Reserved::Pods) => return "the pods that you may enter".into(),
        Target::Reserved(Reserved::Podgate) => {
            return "recordings of sessions".into();
        }
    };
    let namespace = match namespace.as_str() {
        "default" => "the default namespace".to_owned(),
        other => other.to_owned(),
    };
    let container = container.map_or(String::new(), |name| format!(", container {name}"));
    format!("{what} in {namespace}{container}")
}

#[test]
fn every_row_of_the_table_is_so() {
    let rows = HELP.lines().filter_map(|line| line.strip_prefix("  "));
    let rows = rows.filter(|row| !row.starts_with(' '));
    let rows: Vec<_> = rows.filter_map(|row| row.split_once("  ")).collect();
    assert!(rows.len() > 20, "the table is gone: {rows:?}");
    for (login, expect) in rows {
        // After a colon a row may say more, but for a refusal, which has a colon of its own.
        let expect = expect.trim();
        let told = match expect.starts_with("refused") {
            true => expect,
            false => expect.split(": ").next().unwrap(),
        };
        assert_eq!(meaning(login), told, "{login:?}");
    }
    assert!(HELP.is_ascii(), "it is printed on any terminal");
    assert!(HELP.lines().all(|line| line.len() <= 80), "a line is long");
}

#[test]
fn the_page_shows_what_help_prints() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/targets.md");
    let page = std::fs::read_to_string(page).unwrap();
    let indented = HELP.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    });
    let indented = indented.collect::<String>();
    assert!(
        page.contains(&indented),
        "docs/targets.md lacks:\n{indented}"
    );
}

#[test]
fn every_name_of_kubectl_for_a_kind() {
    use Kind::*;
    for (words, expect) in [
        ("po pod pods", None),
        ("deploy deployment deployments", Some(Deployment)),
        ("sts statefulset statefulsets", Some(StatefulSet)),
        ("ds daemonset daemonsets", Some(DaemonSet)),
        ("rs replicaset replicasets", Some(ReplicaSet)),
        ("job jobs", Some(Job)),
        ("svc service services", Some(Service)),
    ] {
        for word in words.split(' ') {
            let kind = match Target::parse(&format!("{word}/a"), "default").unwrap() {
                Target::Pod { .. } => None,
                Target::Workload { kind, .. } => Some(kind),
                other => panic!("{word}: {other:?}"),
            };
            assert_eq!(kind, expect, "{word}");
        }
    }
}

#[test]
fn what_is_amiss_is_named() {
    let check = |logins: &[&str], expect: Error| {
        for login in logins {
            assert_eq!(Target::parse(login, "default"), Err(expect), "{login:?}");
        }
    };
    let pod = Error::Part("the pod's name");
    check(
        &["", "-a", "a-", "a_b", "a b", "ä", ".prod", "a..prod", ".."],
        pod,
    );
    check(
        &["Help", " help", "pod/", "pod~", "pod/a/b", "pods/~a", "a,b"],
        pod,
    );
    check(&[&"a".repeat(254), "web\r\n0", "pod/.prod"], pod);
    check(
        &["a/b", "/a", "~a", "Pod/a", "deployment.apps/a", "../a"],
        Error::Kind,
    );
    let namespace = Error::Part("the namespace");
    check(
        &["a.", "a.Prod", "sts/a.", "app=web.", "app=web.a_b"],
        namespace,
    );
    check(&[&format!("a.{}", "b".repeat(64))], namespace);
    let container = Error::Part("the container");
    check(
        &["a+", "a+b+c", "a+b.c", "help+", "app=web+", "a+b=c"],
        container,
    );
    check(
        &["deploy/", "deploy/A", "deploy/a/b"],
        Error::Part("the deployment's name"),
    );
    let service = Error::Part("the service's name");
    check(
        &["svc/", "svc/a.b.prod", &format!("svc/{}", "a".repeat(64))],
        service,
    );
    let key = Error::Part("a label's key");
    check(
        &["=", "=web", "a/b/c=web", "/app=web", "a/=web", "-a=web"],
        key,
    );
    check(&["app=web,=x", "A/b=c", "app!=web"], key);
    let value = Error::Part("a label's value");
    check(
        &[
            "app=-",
            "app=a b",
            "app==web",
            "app=a/b",
            "app=a~b",
            "app=a..prod",
        ],
        value,
    );
    check(&["app=web,", ",app=web", "app=web,,a=b"], Error::NoValue);
    check(
        &["po/app=web", "svc~app=web.prod", "z=1,svc/a=2"],
        Error::KindOfLabels,
    );
    check(&["a=b,a=b", "a/b=c,a~b=c"], Error::Twice);
}

#[test]
fn what_is_rare_and_sound() {
    for (login, full) in [
        ("7.8", "7.8"),
        ("help+main", "help.default+main"),
        ("pods", "pods"),
        ("deploy", "deploy.default"),
        ("job/job", "job/job.default"),
        ("deploy~a.b.prod+c", "deploy/a.b.prod+c"),
        ("pods~web", "web.default"),
        ("app=", "app=.default"),
        ("app=.prod", "app=.prod"),
        ("a.b/C_d.e=F_g.H.prod", "a.b/C_d.e=F_g.H.prod"),
    ] {
        let target = Target::parse(login, "default").unwrap();
        assert_eq!(target.to_string(), full, "{login}");
    }
}

#[test]
fn replays_the_fuzz_corpus() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/target");
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        if let Ok(target) = Target::parse(&String::from_utf8_lossy(&bytes), "default") {
            // An invalid default shows that it is not used.
            assert_eq!(Target::parse(&target.to_string(), "~"), Ok(target));
            seen += 1;
        }
    }
    assert!(seen > 10, "the corpus is gone");
}
