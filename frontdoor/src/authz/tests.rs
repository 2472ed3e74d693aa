//! What a permit covers, and that a grant is only for what was authorized and runs.

use super::*;

fn pod() -> Pod {
    Pod::web_0(vec![Container {
        name: "main".into(),
        running: Some("cri://c1".into()),
    }])
}

#[test]
fn a_grant_is_for_what_was_authorized_and_runs() {
    let identity = rules::tests::ada(&[]);
    let target = Target::parse("web-0.prod", "default").unwrap();
    let permit = || Permit {
        identity: &identity,
        target: &target,
        action: v1::Action::Exec,
        questions: vec![Question::new(&identity, Right::Exec, "prod", "web-0")],
        files: None,
        rules: [].into(),
    };
    let pod = pod();
    let main = pod.containers.first().unwrap();

    let grant = permit().grant(&pod, main).unwrap();
    assert_eq!(grant.node(), "node-a");
    let message = grant.into_message();
    assert_eq!(message.action(), v1::Action::Exec);
    assert_eq!(message.container.unwrap().id, "cri://c1");

    let other = Pod {
        name: "web-1".into(),
        ..pod.clone()
    };
    assert!(matches!(permit().grant(&other, main), Err(Error::OtherPod)));
    // This permit is for all pods of the namespace, and so for none of them yet.
    let wide = Permit {
        questions: vec![Question::new(&identity, Right::Exec, "prod", ANY)],
        ..permit()
    };
    assert!(matches!(wide.grant(&pod, main), Err(Error::OtherPod)));
    let stopped = Container {
        running: None,
        ..main.clone()
    };
    let error = permit().grant(&pod, &stopped).unwrap_err();
    assert!(matches!(error, Error::NotRunning(name) if name == "main"));
    let initializing = Pod {
        initializing: Some("wait".into()),
        ..pod.clone()
    };
    let error = permit().grant(&initializing, &stopped).unwrap_err();
    assert_eq!(
        error.to_string(),
        "container main is not running yet: init container wait runs before it"
    );
}
#[test]
fn a_permit_for_several_covers_what_its_target_selects() {
    let identity = rules::tests::ada(&[]);
    let check = |target: &str, selector: Option<&str>, expect: bool| {
        let target = Target::parse(target, "prod").unwrap();
        let permit = Permit {
            identity: &identity,
            target: &target,
            action: v1::Action::Exec,
            questions: vec![Question::new(
                &identity,
                Right::Exec,
                target.namespace().unwrap(),
                ANY,
            )],
            files: None,
            rules: [].into(),
        };
        let labels = |app: &str| [("app".to_owned(), app.to_owned())].into();
        let web = Pod {
            labels: labels("web"),
            ..pod()
        };
        let selector = selector.map(|app| Selector::of_labels(&labels(app)));
        let covers = permit.covers(&web, selector.as_ref());
        assert_eq!(covers, expect, "{target} {selector:?}");
    };
    check("app=web", None, true);
    check("app=db", None, false);
    // A selector that was read from a workload says nothing about labels that the user gave.
    check("app=db", Some("web"), false);
    check("app=web.other", None, false);
    check("deploy/web", Some("web"), true);
    check("deploy/web", Some("db"), false);
    check("deploy/web", None, false);
    check("deploy/web.other", Some("web"), false);
    check("web-0", Some("web"), false);
}
