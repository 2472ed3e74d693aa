//! The status that ends an exec: one JSON `v1.Status` on the error stream (sub-protocol v4,
//! k8s.io/apimachinery/pkg/util/remotecommand). No status means failure, never 0.

use serde::Deserialize;

use crate::exit::Exit;

/// Why the bytes are not a status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the kubelet's exit status cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not of a `v1.Status`.
    #[error("the kubelet's exit status is not a JSON object")]
    NotAnObject,
    /// A non-zero exit with no number from 1 to 255.
    #[error("the kubelet's exit status has no exit code")]
    NoCode,
    /// Neither `Success` nor `Failure`.
    #[error("the kubelet's exit status is {0:?}")]
    Unknown(String),
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// Reads the bytes of the error stream.
pub(crate) fn parse(json: &[u8]) -> Result<Exit, Error> {
    // Serde would accept an array of the fields, too.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(Error::NotAnObject);
    }
    let status: Status = serde_json::from_slice(json)?;
    match (status.status.as_str(), status.reason.as_str()) {
        ("Success", _) => Ok(Exit::Code(0)),
        ("Failure", "NonZeroExitCode") => {
            let causes = status
                .details
                .map(|details| details.causes)
                .unwrap_or_default();
            let code = causes.iter().find(|cause| cause.reason == "ExitCode");
            match code.and_then(|cause| cause.message.parse().ok()) {
                Some(code) if code != 0 => Ok(Exit::Code(code)),
                _ => Err(Error::NoCode),
            }
        }
        ("Failure", _) => Ok(start_failure(status.message)),
        _ => Err(Error::Unknown(status.status)),
    }
}

/// Reads what a runtime says of a program that it could not start. Only its words tell a missing program
/// from other failures. Requiring `exec: "` leaves out a missing working directory.
pub(crate) fn start_failure(message: String) -> Exit {
    let exec = message.rfind("exec: \"").map(|at| message.split_at(at).1);
    match exec {
        Some(exec)
            if exec.contains("executable file not found") || exec.contains("no such file") =>
        {
            Exit::NotFound(message)
        }
        Some(exec) if exec.contains("permission denied") => Exit::NotExecutable(message),
        // The words of crun and of Kata.
        None if (message.contains("executable file `") && message.contains("not found"))
            || (message.contains("the file ") && message.contains(" was not found")) =>
        {
            Exit::NotFound(message)
        }
        _ => Exit::Failed(message),
    }
}

/// The working folder that a runtime does not find, in the words of runc and crun.
pub(crate) fn gone_folder(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("chdir to ")?;
    let (_, rest) = rest.split_once(['"', '`'])?;
    let (folder, why) = rest.split_once(['"', '`'])?;
    let gone = why.contains("no such file") || why.contains("No such file");
    gone.then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internal(message: &str) -> String {
        format!(
            r#"{{"metadata":{{}},"status":"Failure","message":{message:?},"reason":"InternalError"}}"#
        )
    }

    #[test]
    fn reads_what_kubelets_answer() {
        let check = |json: &str, expect: Exit| assert_eq!(parse(json.as_bytes()).unwrap(), expect);
        check(r#"{"metadata":{},"status":"Success"}"#, Exit::Code(0));
        check(
            r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: error executing command [sh -c kill -9 $$], exit code 137","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"137"}]}}"#,
            Exit::Code(137),
        );
        let runc = "failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: ";
        for (words, make) in [
            (
                r#"exec: "/nope": stat /nope: no such file or directory"#,
                Exit::NotFound as fn(_) -> _,
            ),
            (
                r#"exec: "nope": executable file not found in $PATH"#,
                Exit::NotFound,
            ),
            (
                r#"exec: "/etc/passwd": permission denied"#,
                Exit::NotExecutable,
            ),
            (
                r#"chdir to cwd ("/gone") set in config.json failed: no such file or directory"#,
                Exit::Failed,
            ),
        ] {
            let message = format!("{runc}{words}");
            check(&internal(&message), make(message.clone()));
        }
        let crun = "OCI runtime exec failed: executable file `sh` not found in $PATH: No such file or directory";
        check(&internal(crun), Exit::NotFound(crun.to_owned()));
    }

    #[test]
    fn never_takes_anything_else_for_success() {
        for json in [
            "",
            "{}",
            "null",
            r#"["Success","","",null]"#,
            r#"{"status":"success"}"#,
            r#"{"status":"Failure","reason":"NonZeroExitCode"}"#,
            r#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"0"}]}}"#,
            r#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"300"}]}}"#,
        ] {
            assert!(parse(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn replays_the_fuzz_corpus() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/status");
        let mut seen = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let json = std::fs::read(entry.unwrap().path()).unwrap();
            let said: Result<serde_json::Value, _> = serde_json::from_slice(&json);
            if let (Ok(Exit::Code(0)), Ok(said)) = (parse(&json), said) {
                assert_eq!(said["status"], "Success");
            }
            seen += 1;
        }
        assert!(seen > 0, "the corpus is gone");
    }
}
