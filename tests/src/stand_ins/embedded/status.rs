//! What goes out on the error stream, in the bytes of containerd's streaming server.

use serde_json::json;

/// The `v1.Status` of a command that ran to its end: 128 + n for one that signal n ended.
pub(super) fn of_exit(argv: &[String], code: i32) -> String {
    if code == 0 {
        return r#"{"metadata":{},"status":"Success"}"#.to_owned();
    }
    let argv = argv.join(" ");
    let message = text(&format!(
        "command terminated with non-zero exit code: error executing command [{argv}], exit code {code}"
    ));
    format!(
        r#"{{"metadata":{{}},"status":"Failure","message":{message},"reason":"NonZeroExitCode","details":{{"causes":[{{"reason":"ExitCode","message":"{code}"}}]}}}}"#
    )
}

/// The `v1.Status` of a command that runc could not start; `reason` in runc's words.
pub(super) fn of_failed_start(exec_id: &str, reason: &str) -> String {
    let cause = format!(
        "error executing command in container: failed to exec in container: failed to start exec \"{exec_id}\": OCI runtime exec failed: exec failed: unable to start container process: {reason}"
    );
    let message = text(&format!("Internal error occurred: {cause}"));
    let cause = text(&cause);
    format!(
        r#"{{"metadata":{{}},"status":"Failure","message":{message},"reason":"InternalError","details":{{"causes":[{{"message":{cause}}}]}},"code":500}}"#
    )
}

/// A JSON string as Go writes it, safe inside HTML.
fn text(text: &str) -> String {
    let mut json = json!(text).to_string();
    for (plain, escaped) in [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026")] {
        json = json.replace(plain, escaped);
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_containerd() {
        assert_eq!(of_exit(&[], 0), r#"{"metadata":{},"status":"Success"}"#);
        let argv = ["sh", "-c", "exit 7"].map(str::to_owned);
        assert_eq!(
            of_exit(&argv, 7),
            r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: error executing command [sh -c exit 7], exit code 7","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#
        );
        let reason = r#"exec: "/nope": stat /nope: no such file or directory"#;
        let status = of_failed_start("45068c", reason);
        assert!(status.starts_with(
            r#"{"metadata":{},"status":"Failure","message":"Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"45068c\": OCI runtime exec failed: exec failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory","reason":"InternalError","details":{"causes":[{"message":"error executing"#
        ));
        assert_eq!(text("a>&<\""), r#""a\u003e\u0026\u003c\"""#);
    }
}
