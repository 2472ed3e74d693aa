//! The script on real processes of this machine, as each kind of sh runs it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

const SHELLS: [&[&str]; 3] = [&["dash"], &["bash"], &["busybox", "sh"]];
const NEVER: &str = "0";
const SESSION: &str = "0123456789abcdef0123456789abcdef";

/// Starts a process that leads a session of its own, as every exec does, and waits until it says that
/// it is set up. Also returns the lines that it and its jobs printed, sorted.
fn leader(script: &str, lines: usize) -> (Child, Leader, Vec<String>) {
    let mut child = Command::new("setsid")
        .args(["dash", "-c", script])
        .env("PODGATE_SESSION", SESSION)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<_> = said.take(lines).map(Result::unwrap).collect();
    said.sort_unstable();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    (child, Leader::from_stat(&stat).unwrap(), said)
}

fn script(shell: &[&str], signal: &str, leader: Leader, more: &[&str]) -> Command {
    let mut script = Command::new(shell[0]);
    script
        .args(&shell[1..])
        .args(["-c", SCRIPT, "hangup", signal])
        .args([leader.pid.to_string(), leader.start_time.to_string()])
        .args(more);
    script
}

fn run(shell: &[&str], signal: &str, leader: Leader, more: &[&str]) -> Option<i32> {
    let mut script = script(shell, signal, leader, more);
    script.stdout(Stdio::null()).status().unwrap().code()
}

fn hang_up(shell: &[&str], leader: Leader) -> Option<i32> {
    run(shell, "hangup", leader, &[SESSION])
}

/// A hang-up that succeeds, and what it says.
fn hang_up_output(shell: &[&str], leader: Leader) -> Reached {
    let mut script = script(shell, "hangup", leader, &[SESSION]);
    let output = script.output().unwrap();
    assert!(output.status.success(), "{shell:?}: {output:?}");
    Reached::from_answer(&String::from_utf8(output.stdout).unwrap(), leader)
}

/// A kill after a hang-up at this time.
fn kill(shell: &[&str], leader: Leader, at: &str) -> Option<i32> {
    run(shell, "kill", leader, &[&leader.pid.to_string(), at])
}

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// Ends a process that a test has spared.
fn end(pid: &str) {
    let killed = Command::new("kill").arg(pid).status().unwrap();
    assert!(killed.success(), "{pid}");
}

/// Waits for the end of a process that is not this one's child. After a signal that takes a moment.
fn ends(pid: &str) {
    let begun = std::time::Instant::now();
    while runs(pid) {
        assert!(begun.elapsed().as_secs() < 10, "{pid} lives");
        std::thread::yield_now();
    }
}

#[test]
fn sighup_reaches_the_leader() {
    for shell in SHELLS {
        let (mut child, leader, _) = leader("echo up; sleep 1000", 1);
        assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
    }
}

/// The group is read of the leader, and not of the process that the script has looked at last.
#[test]
fn sighup_reaches_no_group_but_the_leader_s_own() {
    for shell in SHELLS {
        let (mut child, leader, _) = leader("echo up; sleep 1000", 1);
        let reached = hang_up_output(shell, leader);
        assert_eq!(reached.foreground, leader.pid, "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
    }
}

/// The terminal still names the group of a shell that was killed. Another session may have its number by now.
#[test]
fn a_foreground_that_has_ended_is_not_signalled() {
    for shell in SHELLS {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let path = ptsname(&terminal, Vec::new())
            .unwrap()
            .into_string()
            .unwrap();
        // What leads a session takes the terminal that it opens for its own.
        let script = format!(
            "exec 5>&1 <{path} >{path} 2>&1; \
             bash -ic 'kill -KILL $$' 2>/dev/null; echo up >&5; sleep 1000"
        );
        let (mut child, leader, _) = leader(&script, 1);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", leader.pid)).unwrap();
        let foreground = stat.rsplit(") ").next().unwrap().split(' ').nth(5).unwrap();
        assert!(!runs(foreground), "{stat}");
        let reached = hang_up_output(shell, leader);
        assert_eq!(reached.foreground, leader.pid, "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
    }
}

/// A sandbox's clock is not the node's, so the script says by its own when it has run.
#[test]
fn a_hang_up_says_when_it_was() {
    for shell in SHELLS {
        let (mut child, leader, _) = leader("echo up; exec sleep 1000", 1);
        let before = podgate_helper::ticks::now();
        let at = hang_up_output(shell, leader).at.unwrap();
        let times = before.saturating_sub(1)..=podgate_helper::ticks::now();
        assert!(times.contains(&at), "{shell:?}: {at}, {times:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_hung_up() {
    let program = "\
import ctypes, threading, time
def rest():
    while ') Z ' not in open('/proc/self/stat').read(): time.sleep(0.001)
    print('up', flush=True)
    time.sleep(1000)
threading.Thread(target=rest).start()
ctypes.CDLL(None).pthread_exit(None)
";
    for shell in SHELLS {
        let script = format!("exec python3 -c \"{program}\"");
        let (mut child, leader, _) = leader(&script, 1);
        assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
    }
}

/// The wrapper waits for the program's status, and has to tell it.
#[test]
fn a_signal_leaves_out_the_wrapper() {
    for shell in SHELLS {
        let run_it = "trap 'exit 9' HUP; sh -c 'sleep 1000 & echo up; wait'; exit 7";
        let wrapper = format!("podgate:{SESSION}");
        let script = format!("__run=\"{run_it}\" exec dash -c 'eval \"$__run\"' {wrapper}");
        for signal in ["HUP", "KILL"] {
            let (mut child, leader, _) = leader(&script, 1);
            assert_eq!(run(shell, signal, leader, &[]), Some(0), "{shell:?}");
            assert_eq!(child.wait().unwrap().code(), Some(7), "{shell:?}: {signal}");
        }
    }
}

#[test]
fn any_signal_reaches_the_program() {
    for shell in SHELLS {
        for (name, number) in [
            ("USR1", 10),
            ("TERM", 15),
            ("ALRM", 14),
            ("HUP", 1),
            ("KILL", 9),
        ] {
            let (mut child, leader, _) = leader("echo up; exec sleep 1000", 1);
            assert_eq!(run(shell, name, leader, &[]), Some(0), "{shell:?}");
            assert_eq!(child.wait().unwrap().signal(), Some(number), "{shell:?}");
        }
    }
}

#[test]
fn sigkill_reaches_what_ignores_sighup_and_spares_a_background_job() {
    for shell in SHELLS {
        let script = "exec 5<&0; trap '' HUP; sh -c 'echo b $$; exec sleep 1000' & \
                      sh -c 'echo f $$; exec sleep 1001' <&5 & sleep 1002; :";
        let (mut child, leader, said) = leader(script, 2);
        let (background, foreground) = (&said[0][2..], &said[1][2..]);
        assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
        assert_eq!(child.try_wait().unwrap(), None, "{shell:?}");
        assert_eq!(kill(shell, leader, NEVER), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{shell:?}");
        ends(foreground);
        assert!(runs(background), "{shell:?}");
        end(background);
    }
}

#[test]
fn what_outlives_its_leader_is_killed_if_it_is_older_than_the_hang_up() {
    for shell in SHELLS {
        let script = "exec 5<&0; \
                      sh -c 'trap \"\" HUP; echo $$; exec sleep 1000' <&5 & sleep 1002; :";
        let (mut child, leader, said) = leader(script, 1);
        let pid = &said[0];
        assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
        assert!(runs(pid), "{shell:?}");
        let gone = Some(i32::from(GONE));
        assert_eq!(kill(shell, leader, NEVER), gone, "{shell:?}");
        assert!(runs(pid), "{shell:?}");
        let now = (leader.start_time + 100).to_string();
        assert_eq!(kill(shell, leader, &now), Some(0), "{shell:?}");
        ends(pid);
    }
}

/// The rest is killed all the same, and the error is told.
#[test]
fn a_leader_of_another_user_does_not_keep_the_rest_alive() {
    for shell in SHELLS {
        let script = "exec 5<&0; setpriv --reuid 65534 --clear-groups sh -c 'echo $$; exec sleep 1000' <&5; :";
        let (mut child, leader, said) = leader(script, 1);
        let pid = leader.pid.to_string();
        let killed = Command::new("setpriv")
            .args(["--reuid", "65534", "--clear-groups"])
            .args(shell)
            .args(["-c", SCRIPT, "hangup", "kill", &pid])
            .args([&leader.start_time.to_string(), &pid, NEVER])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(killed.code(), Some(4), "{shell:?}");
        ends(&said[0]);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{shell:?}");
    }
}

#[test]
fn a_program_that_handles_sighup_hears_it_once_and_its_children_do_not() {
    for shell in SHELLS {
        // Once with a job that is spared, so that the rest is signalled one by one, and once without.
        for job in ["", "sleep 0.3 >/dev/null 2>&1 </dev/null &"] {
            let script = format!(
                "{job} trap 'n=$((n+1)); sleep 0.5 && saved=yes' HUP; n=0; echo up; \
                 while [ -z \"$saved\" ]; do sleep 0.1; done; \
                 sleep 0.2; [ \"$n\" = 1 ] && exit 7"
            );
            let (mut child, leader, _) = leader(&script, 1);
            assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
            assert_eq!(child.wait().unwrap().code(), Some(7), "{shell:?}: {job}");
        }
    }
}

#[test]
fn what_has_detached_itself_is_spared_and_what_holds_the_session_is_not() {
    for shell in SHELLS {
        // These lack the mark of a background job, so only the descriptors tell.
        let script = "plain() { env --default-signal=INT,QUIT \"$@\"; }; \
             plain sh -c 'echo a $$ >&5; exec sleep 1000' </dev/null >/dev/null 2>&1 & \
             plain sh -c 'sh -c \"echo b \\$\\$ >&5; exec sleep 1001\" | cat' </dev/null >/dev/null 2>&1 & \
             sh -c 'echo c $$; exec sleep 1002' & \
             plain sh -c 'echo d $$; exec sleep 1003' </dev/null & \
             plain sh -c 'echo e $$ >&5; exec sleep 1004' </dev/null 2>&1 >/dev/null & \
             plain sh -c 'echo f $$ >&5; exec sleep 1005' <&4 >/dev/null 2>&1 & \
             sleep 1006";
        let script = format!("exec 4<&0 5>&1 2>&1; {script}");
        let (mut child, leader, said) = leader(&script, 6);
        let pids: Vec<_> = said.iter().map(|line| &line[2..]).collect();
        let (spared, held) = pids.split_at(3);
        assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
        assert_eq!(child.wait().unwrap().signal(), Some(1), "{shell:?}");
        held.iter().for_each(|pid| ends(pid));
        // Its leader is gone by now, so a pipe counts as the session's.
        let now = (leader.start_time + 1000).to_string();
        kill(shell, leader, &now);
        for (pid, name) in spared.iter().zip(["a", "b", "c"]) {
            assert!(runs(pid), "{shell:?}: {name}");
            end(pid);
        }
    }
}

#[test]
fn what_a_killed_leader_has_left_is_hung_up_by_its_mark() {
    for shell in SHELLS {
        let script = "sh -c 'echo $$; exec sleep 1000' <&0";
        let (mut child, leader, said) = leader(&format!("{script}; :"), 1);
        let pid = &said[0];
        child.kill().unwrap();
        child.wait().unwrap();
        let other = SESSION.replace('0', "f");
        let doubt = run(shell, "hangup", leader, &[&other]);
        assert_eq!(doubt, Some(i32::from(IN_DOUBT)), "{shell:?}");
        assert!(runs(pid), "{shell:?}");
        assert_eq!(hang_up(shell, leader), Some(0), "{shell:?}");
        ends(pid);
        assert_eq!(hang_up(shell, leader), Some(i32::from(GONE)), "{shell:?}");
    }
}

/// Nothing is left to hang up: a job of a shell that was killed alone lives on, as under sshd.
#[test]
fn a_session_is_gone_if_all_that_is_left_are_jobs() {
    for shell in SHELLS {
        let script = "exec bash -c 'set -m; sh -c \"echo \\$\\$; exec sleep 1000\" & wait'";
        let (mut child, leader, said) = leader(script, 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(hang_up(shell, leader), Some(i32::from(GONE)), "{shell:?}");
        assert!(runs(&said[0]), "{shell:?}");
        end(&said[0]);
    }
}

#[test]
fn a_process_that_started_at_another_time_is_not_signalled() {
    for shell in SHELLS {
        let (mut child, found, _) = leader("echo up; exec sleep 1000", 1);
        let other = Leader {
            start_time: found.start_time + 1,
            ..found
        };
        let gone = Some(i32::from(GONE));
        assert_eq!(hang_up(shell, other), gone, "{shell:?}");
        assert_eq!(kill(shell, other, NEVER), gone, "{shell:?}");
        assert_eq!(run(shell, "TERM", other, &[]), gone, "{shell:?}");
        assert_eq!(child.try_wait().unwrap(), None, "{shell:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
