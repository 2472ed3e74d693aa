//! The chart, linted and rendered by Helm's own engine: each object fits its Kubernetes type, the
//! default render equals `golden`, and nobody has more privilege than is listed here.

mod configs;
mod golden;
mod objects;
mod privileges;
mod rendered;

use rendered::{Line, Object, lines, root};
use serde_json::json;

/// One test, since rendering is what takes the time.
#[test]
fn what_helm_makes_of_it() {
    let (mut rendered, mut claims, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines() {
        match line {
            Line::Rendered(case) => rendered.push(case),
            Line::Claim(case) => claims.push(case),
            Line::Refused(case) => refused.push(case),
        }
    }
    // A script that prints too little must not pass.
    assert!(rendered.len() > 200 && refused.len() > 20 && !claims.is_empty());
    for case in &rendered {
        assert_eq!(case.lint, [""; 0], "{}", case.case);
        check(&case.objects).unwrap_or_else(|why| panic!("{}: {why}", case.case));
        let loud = case.notes.contains("*** WARNING");
        let unchecked = case.case.contains("'trust': 'none'");
        assert_eq!(loud, unchecked, "{}: {}", case.case, case.notes);
        assert!(
            case.notes.contains("ssh -p "),
            "{}: {}",
            case.case,
            case.notes
        );
    }
    for case in &claims {
        for expect in &case.expect {
            let (there, words) = match expect.strip_prefix('!') {
                Some(words) => (false, words),
                None => (true, expect.as_str()),
            };
            assert_eq!(
                case.text.contains(words),
                there,
                "{}: {words}: {}",
                case.claim,
                case.text
            );
        }
    }
    for case in &refused {
        let reason = case.reason.as_deref().unwrap_or("it was accepted");
        assert!(reason.contains(&case.expect), "{}: {reason}", case.refused);
    }
    configs::check(rendered.iter().flat_map(|case| &case.objects));
    let default = rendered.iter().find(|case| case.case == "default").unwrap();
    each_damage_is_seen(&default.objects);
    privileges::each_rule_says_why(&default.texts).unwrap();
    golden::compare(&root(), &default.texts);
}

fn check(objects: &[Object]) -> Result<(), String> {
    objects.iter().try_for_each(objects::strict)?;
    objects::consistent(objects)?;
    privileges::hold(objects)
}

/// Checks that the checks above refuse damaged objects.
fn each_damage_is_seen(objects: &[Object]) {
    const SPEC: &str = "/spec/template/spec";
    for (kind, parent, key, value) in [
        ("DaemonSet", SPEC.to_owned(), "hostPid", json!(true)),
        ("DaemonSet", SPEC.to_owned(), "hostNetwork", json!(true)),
        ("DaemonSet", SPEC.to_owned(), "hostPID", json!(false)),
        (
            "DaemonSet",
            format!("{SPEC}/containers/0/securityContext/capabilities"),
            "add",
            json!(["KILL"]),
        ),
        (
            "DaemonSet",
            format!("{SPEC}/containers/1/securityContext/capabilities"),
            "add",
            json!(["SYS_ADMIN"]),
        ),
        (
            "DaemonSet",
            format!("{SPEC}/containers/1/volumeMounts/0"),
            "name",
            json!("entry"),
        ),
        (
            "DaemonSet",
            format!("{SPEC}/containers/0/securityContext"),
            "privileged",
            json!(true),
        ),
        (
            "DaemonSet",
            format!("{SPEC}/containers/2/securityContext"),
            "privileged",
            json!(false),
        ),
        (
            "DaemonSet",
            format!("{SPEC}/containers/2/volumeMounts/0"),
            "name",
            json!("kubelet-token"),
        ),
        (
            "Deployment",
            format!("{SPEC}/containers/0/securityContext"),
            "readOnlyRootFilesystem",
            json!(false),
        ),
        (
            "Deployment",
            format!("{SPEC}/containers/0/volumeMounts/0"),
            "name",
            json!("other"),
        ),
        ("ClusterRole", "/rules/0".to_owned(), "verbs", json!(["*"])),
        ("Role", "/rules/1".to_owned(), "resourceNames", json!([])),
        ("RoleBinding", "/roleRef".to_owned(), "name", json!("other")),
    ] {
        let damaged = |object: &Object| {
            let mut object = Object {
                file: object.file.clone(),
                object: object.object.clone(),
            };
            if object.object["kind"] == kind {
                object.object.pointer_mut(&parent).unwrap()[key] = value.clone();
            }
            object
        };
        let damaged: Vec<Object> = objects.iter().map(damaged).collect();
        assert!(check(&damaged).is_err(), "{kind}: {parent}/{key}: {value}");
    }
}
