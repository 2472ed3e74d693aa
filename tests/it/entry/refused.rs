//! What the entry does not start, and why.

use std::os::fd::AsFd;

use podgate_node_entry::ids::Handle;
use podgate_node_entry::protocol::{Action, Answer, Start};
use podgate_node_entry::reason::{Bound, Reason};
use podgate_tests::fixtures::images::Image;
use podgate_tests::instruments::holder::{command, of, sealed};
use podgate_tests::real::containerd::{ContainerSpec, PodSpec};

use super::{Stage, stage, stage_with, task};

fn refused(stage: &mut Stage, start: Start) -> Option<Reason> {
    stage.holder.start(start, &command("true")).unwrap().err()
}

#[tokio::test]
async fn only_the_container_that_is_meant_is_entered_while_it_runs() {
    let mut stage = stage(PodSpec::busybox("meant")).await;
    let start = of(&stage.pod).unwrap();
    let other = |change: fn(&mut Start)| {
        let mut other = start.clone();
        change(&mut other);
        other
    };
    let pod = other(|it| it.pod = "another".to_owned().try_into().unwrap());
    assert_eq!(refused(&mut stage, pod), Some(Reason::OtherPod));
    let name = other(|it| it.name = "side".to_owned().try_into().unwrap());
    assert_eq!(refused(&mut stage, name), Some(Reason::OtherPod));
    let mut sandbox = start.clone();
    sandbox.container = stage.pod.sandbox_id.clone().try_into().unwrap();
    assert_eq!(refused(&mut stage, sandbox), Some(Reason::OtherPod));
    let none = other(|it| it.container = "0".repeat(64).try_into().unwrap());
    assert_eq!(refused(&mut stage, none), Some(Reason::Gone));

    task(&stage.containerd, "pause", start.container.as_ref());
    assert_eq!(refused(&mut stage, start.clone()), Some(Reason::Paused));
    task(&stage.containerd, "resume", start.container.as_ref());
    assert_eq!(refused(&mut stage, start.clone()), None);
    stage.pod.restart_container("app").await.unwrap();
    assert_eq!(
        refused(&mut stage, start),
        Some(Reason::Gone),
        "another one has its name"
    );
}

#[tokio::test]
async fn what_would_give_the_whole_node_is_entered_only_if_that_is_allowed() {
    let mut app = ContainerSpec::new("app", Image::Busybox);
    app.security.privileged = true;
    let privileged = || PodSpec::new("privileged").container(app.clone());
    let mut no = stage(privileged()).await;
    let start = of(&no.pod).unwrap();
    assert_eq!(refused(&mut no, start), Some(Reason::Privileged));
    let mut yes = stage_with(privileged(), &["--allow-privileged"]).await;
    let start = of(&yes.pod).unwrap();
    assert_eq!(refused(&mut yes, start), None);

    let mut spec = PodSpec::busybox("host-pid");
    spec.host_pid = true;
    let mut no = stage(spec.clone()).await;
    let start = of(&no.pod).unwrap();
    assert_eq!(refused(&mut no, start), Some(Reason::HostProcesses));
    let mut yes = stage_with(spec, &["--allow-host-processes"]).await;
    let start = of(&yes.pod).unwrap();
    assert_eq!(refused(&mut yes, start), None);
}

#[tokio::test]
async fn it_has_its_own_word_on_namespaces() {
    let spec = PodSpec::busybox("words").namespace("kube-system");
    let mut no = stage_with(spec.clone(), &["--no-namespace", "kube-system"]).await;
    let start = of(&no.pod).unwrap();
    assert_eq!(refused(&mut no, start), Some(Reason::Namespace));
    let mut other = stage_with(spec.clone(), &["--only-namespace", "prod"]).await;
    let start = of(&other.pod).unwrap();
    assert_eq!(refused(&mut other, start), Some(Reason::Namespace));
    let both = [
        "--only-namespace",
        "prod",
        "--only-namespace",
        "kube-system",
    ];
    let mut yes = stage_with(spec, &both).await;
    let start = of(&yes.pod).unwrap();
    assert_eq!(refused(&mut yes, start), None);
}

#[tokio::test]
async fn programs_are_bounded_by_user_and_container_and_their_places_come_back() {
    let arguments = ["--programs-per-user", "2", "--programs-per-container", "3"];
    let mut stage = stage_with(PodSpec::busybox("bounds"), &arguments).await;
    let ann = of(&stage.pod).unwrap();
    let bob = Start {
        user: "bob".to_owned().try_into().unwrap(),
        ..ann.clone()
    };
    let first = stage.holder.run(ann.clone(), &command("cat")).unwrap();
    let _second = stage.holder.run(ann.clone(), &command("cat")).unwrap();
    let many = |bound| Some(Reason::TooMany(bound));
    assert_eq!(
        refused(&mut stage, ann.clone()),
        many(Bound::ProgramsOfUser)
    );
    let _third = stage.holder.run(bob.clone(), &command("cat")).unwrap();
    assert_eq!(refused(&mut stage, bob), many(Bound::ProgramsOfContainer));
    // What has ended has no place.
    stage
        .holder
        .left({
            let mut first = first;
            drop(first.stdin.take());
            first
        })
        .unwrap();
    assert_eq!(refused(&mut stage, ann), None);
}

#[tokio::test]
async fn a_request_without_what_it_needs_is_not_valid() {
    let mut stage = stage(PodSpec::busybox("invalid")).await;
    let start = of(&stage.pod).unwrap();
    let launch = sealed(&command("true").encode().unwrap()).unwrap();
    let invalid = |answer: Answer| match answer {
        Answer::Refused {
            reason: Reason::Invalid(_),
        } => {}
        other => panic!("{other:?}"),
    };
    let asked = stage.holder.ask(Action::Start(start.clone()), &[]);
    invalid(asked.unwrap().0);
    let socket = std::os::unix::net::UnixStream::pair().unwrap().0;
    let beside = [
        launch.as_fd(),
        socket.as_fd(),
        socket.as_fd(),
        socket.as_fd(),
    ];
    invalid(
        stage
            .holder
            .ask(Action::Start(start.clone()), &beside)
            .unwrap()
            .0,
    );
    let handle = Handle(7);
    let (answer, _) = stage.holder.ask(Action::Kill { handle }, &[]).unwrap();
    let reason = Reason::NoProgram;
    assert_eq!(answer, Answer::Refused { reason });
    // A launch that is none ends the launcher.
    let mut ours = Vec::new();
    let pipe = || {
        let (reader, writer) = std::io::pipe().unwrap();
        (
            std::os::fd::OwnedFd::from(reader),
            std::os::fd::OwnedFd::from(writer),
        )
    };
    let ((stdin, a), (b, stdout), (c, stderr)) = (pipe(), pipe(), pipe());
    ours.extend([a, b, c]);
    let odd = sealed(b"odd").unwrap();
    let beside = [odd.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let (answer, _) = stage.holder.ask(Action::Start(start), &beside).unwrap();
    let Answer::Started { handle, .. } = answer else {
        panic!("{answer:?}")
    };
    let status = podgate_node_entry::status::Status::Exited(255);
    assert_eq!(stage.holder.ended(handle).unwrap(), Some(status));
}

#[tokio::test]
async fn one_holders_programs_are_not_anothers() {
    let mut stage = stage(PodSpec::busybox("others")).await;
    let start = of(&stage.pod).unwrap();
    let program = stage.holder.run(start, &command("cat")).unwrap();
    let mut other = podgate_tests::instruments::holder::Holder::connect(
        &stage.entry.socket(),
        &[program.handle],
    )
    .unwrap();
    assert_eq!(other.taken_over, []);
    let kill = Action::Kill {
        handle: program.handle,
    };
    let reason = Reason::NoProgram;
    assert_eq!(other.ask(kill, &[]).unwrap().0, Answer::Refused { reason });
}
