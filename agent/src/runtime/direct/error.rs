//! Why a program did not come to run, in a user's words; and whether the kubelet may start it instead.

use podgate_node_entry::reason::Reason;
use podgate_node_entry::report::Failure as LauncherFailure;

use super::program::DirectProgram;
use crate::command;
use crate::node_entry::Error;
use crate::runtime::contract::NotStarted;
use crate::runtime::error::{self as legs, Failure};
use crate::runtime::running::Running;
use crate::trouble::Trouble;

/// What cannot be run at all.
pub(super) fn invalid(error: command::Error) -> legs::Error {
    legs::Error::Invalid(Failure::of(error))
}

/// Nothing has run.
pub(super) fn not_started(error: Error) -> NotStarted {
    leg(error).into()
}

/// It may have begun to run.
pub(super) fn unknown(error: Error, program: DirectProgram) -> NotStarted {
    NotStarted {
        error: leg(error),
        running: Some(Box::new(program) as Box<dyn Running>),
    }
}

/// The launcher was there, and could not run the program.
pub(super) fn launcher_failed(failure: LauncherFailure) -> NotStarted {
    let sentence = format!("the program could not be started: {failure}");
    legs::Error::Runtime(Failure::new(sentence, failure)).into()
}

fn leg(error: Error) -> legs::Error {
    if let Some(reason) = elsewhere(&error) {
        let sentence = format!(
            "the agent on the pod's node starts programs by the node entry alone, and {error}"
        );
        let failure = Failure::new(sentence, error);
        return legs::Error::Elsewhere { reason, failure };
    }
    let leg: fn(Failure) -> legs::Error = match &error {
        Error::Timeout | Error::Refused(Reason::Slow) => legs::Error::TimedOut,
        Error::Full | Error::Refused(Reason::TooMany(_)) => legs::Error::Full,
        _ => legs::Error::Runtime,
    };
    leg(Failure::new(sentence(&error), error))
}

/// The word for what leaves a start to the kubelet, where that is allowed. No program has run.
fn elsewhere(error: &Error) -> Option<&'static str> {
    match error {
        Error::Absent => Some("absent"),
        Error::Refused(reason) => reason.leaves_the_kubelet(),
        Error::Launcher(failure) if failure.leaves_the_kubelet() => Some("launcher"),
        _ => None,
    }
}

fn sentence(error: &Error) -> String {
    match error {
        Error::Refused(Reason::ProcessLimit) => Trouble::Processes.to_string(),
        Error::Refused(Reason::MemoryLimit) => Trouble::Memory.to_string(),
        Error::Refused(Reason::TooMany(bound)) => {
            format!("the pod's node has reached its limit: too many {bound}; try again later")
        }
        Error::Timeout | Error::Refused(Reason::Slow) => {
            "the runtime on the pod's node did not start the program in time".to_owned()
        }
        Error::LauncherEnded | Error::Refused(Reason::FirstProcess) => Trouble::Died.to_string(),
        Error::Refused(reason) => reason.to_string(),
        error => format!("the program could not be started on the pod's node: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use podgate_node_entry::reason::Bound;

    #[test]
    fn what_another_runtime_may_start_is_left_to_it() {
        let reason = |error| match leg(error) {
            legs::Error::Elsewhere { reason, .. } => Some(reason),
            _ => None,
        };
        for (error, expect) in [
            (Error::Absent, "absent"),
            (Reason::OtherService("CRI-O".into()).into(), "service"),
            (Reason::OtherRuntime("runsc".into()).into(), "runtime"),
            (Reason::Gone.into(), "not_found"),
            (Error::Launcher(LauncherFailure::Streams), "launcher"),
        ] {
            assert_eq!(reason(error), Some(expect));
        }
        // A start that was cut off is never repeated.
        for error in [
            Error::Lost,
            Error::Launcher(LauncherFailure::TooLong),
            Error::Timeout,
            Error::Refused(Reason::CutOff),
            Error::Refused(Reason::Slow),
            Error::Refused(Reason::Paused),
        ] {
            assert_eq!(reason(error), None);
        }
    }

    #[test]
    fn a_user_reads_what_to_do() {
        let check = |error: Error, expect: &str| {
            let said = sentence(&error);
            assert!(said.contains(expect), "{said}");
        };
        check(Reason::ProcessLimit.into(), "limit of processes");
        check(Reason::MemoryLimit.into(), "limit of memory");
        check(
            Reason::TooMany(Bound::StartsOfUser).into(),
            "too many starts of this user; try again later",
        );
        check(
            Reason::FirstProcess.into(),
            "limit of processes or of memory",
        );
        check(Reason::Paused.into(), "paused");
        check(Error::Timeout, "in time");
    }
}
