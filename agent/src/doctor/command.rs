//! The commands: whether what they begin with is there.

use std::{fs, path::Path, time::Duration};

use haproxy_runtime::{Command, Process};
use rustix::fs::Access;

use super::{Finding, Topic, line, path::allowed};
use crate::config::Output;

/// For asking the shell, or HAProxy its version.
const DEADLINE: Duration = Duration::from_secs(2);

/// Looks for the first words; runs none of them but an HAProxy, for its version, which is returned beside what was found.
pub(super) async fn examine(output: &Output, running: &[Process]) -> (Vec<Finding>, Option<String>) {
    let (mut findings, mut checks) = (Vec::new(), None);
    if let Some(command) = output.reload.as_ref().and_then(|reload| reload.command()) {
        findings.push(first_word("reload_command", command).await);
    }
    if let Some(check) = &output.check {
        findings.push(first_word("check_command", &check.command).await);
        if let Some(word) = word(&check.command).filter(|word| is_haproxy(word)) {
            let (finding, said) = version(word, running).await;
            findings.push(finding);
            checks = said;
        }
    }
    (findings, checks)
}

async fn first_word(key: &str, command: &Command) -> Finding {
    let Some(word) = word(command) else {
        return Finding::ok(Topic::Command, key, "is for the shell to understand: not looked at");
    };
    let subject = format!("{key} {}", line(word));
    if word.contains('/') {
        return at(subject, Path::new(word));
    }
    // The shell knows its own words and looks in `PATH` as it will; `command -v` runs nothing.
    let known = match Command::argv(["/bin/sh", "-c", "command -v \"$1\"", "sh", word]) {
        Ok(ask) => ask.run(DEADLINE).await.ok(),
        Err(_) => None,
    };
    match known {
        Some(found) if !found.text().trim().is_empty() => {
            Finding::ok(Topic::Command, subject, format!("is there: {}", line(found.text())))
        }
        _ => Finding::error(
            Topic::Command,
            subject,
            "is no command that is found in `PATH`",
            "install it, correct its name, or write its whole path: services often have a short `PATH`",
        ),
    }
}

fn at(subject: String, path: &Path) -> Finding {
    match fs::metadata(path) {
        Ok(found) if found.is_file() && allowed(path, Access::EXEC_OK) => {
            Finding::ok(Topic::Command, subject, "is there and can be run")
        }
        Ok(found) if found.is_file() => Finding::error(
            Topic::Command,
            subject,
            "can't be run by this user",
            "make it executable: `chmod +x`",
        ),
        Ok(_) => {
            Finding::error(Topic::Command, subject, "is no file", "correct the path in the configuration")
        }
        Err(cause) => {
            let remedy = "install it, or correct the path in the configuration";
            Finding::error(Topic::Command, subject, format!("is not there: {cause}"), remedy)
        }
    }
}

/// The word that names the program; `None` where only the shell can tell.
fn word(command: &Command) -> Option<&str> {
    let words: Vec<_> = command.words().collect();
    match words[..] {
        ["/bin/sh", "-c", text] => of_shell(text),
        [first, ..] => Some(first),
        [] => None,
    }
}

/// The first word of a shell line that is not an assignment.
fn of_shell(text: &str) -> Option<&str> {
    let mut words = text.split_ascii_whitespace();
    let is_assignment = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    };
    let word = words.by_ref().find(|word| !is_assignment(word) && *word != "exec")?;
    let word = word.trim_end_matches([';', '&']);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,[".contains(&byte);
    // The value of an assignment may have had blanks in quotes.
    let quoted = text.split(word).next().is_some_and(|before| before.contains(['\'', '"', '`', '$', '(']));
    (!word.is_empty() && !quoted && word.bytes().all(plain)).then_some(word)
}

fn is_haproxy(word: &str) -> bool {
    Path::new(word).file_name().is_some_and(|name| name == "haproxy")
}

/// Which HAProxy checks, and whether it is the one that runs.
async fn version(program: &str, running: &[Process]) -> (Finding, Option<String>) {
    let said = match Command::argv([program, "-v"]) {
        Ok(ask) => ask.run(DEADLINE).await.map_err(|error| line(&crate::output::chain(&error))),
        Err(error) => Err(error.to_string()),
    };
    let said = match said {
        Ok(said) => said,
        Err(error) => {
            let remedy = "see whether it runs by hand: `haproxy -v`";
            let text = format!("does not say its version: {error}");
            return (Finding::error(Topic::Command, program, text, remedy), None);
        }
    };
    let Some(checks) = version_of(said.text()) else {
        let (text, remedy) =
            (format!("says no version: {}", line(said.text())), "see whether it is HAProxy: `haproxy -v`");
        return (Finding::warning(Topic::Command, program, text, remedy), None);
    };
    let finding = match running.iter().find(|process| process.version != checks) {
        None => Finding::ok(Topic::Command, program, format!("is HAProxy {}", line(checks))),
        Some(process) => Finding::warning(
            Topic::Command,
            program,
            format!(
                "is HAProxy {}, while {} runs: what one accepts the other may refuse",
                line(checks),
                line(&process.version)
            ),
            "restart HAProxy after an upgrade, or check with the one that runs",
        ),
    };
    (finding, Some(checks.to_owned()))
}

/// `HAProxy version 2.6.12-1+deb12u4 2026/01/01 - https://haproxy.org/`, or `HA-Proxy version …` before 2.4.
fn version_of(said: &str) -> Option<&str> {
    let first = said.lines().next()?;
    first.split_once("roxy version ")?.1.split_ascii_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn the_word_that_names_a_program_is_found_where_it_can_be() {
        for (text, expected) in [
            ("systemctl reload haproxy", Some("systemctl")),
            ("  /usr/sbin/haproxy -c", Some("/usr/sbin/haproxy")),
            ("LANG=C exec service haproxy reload", Some("service")),
            ("true; false", Some("true")),
            ("[ -f /x ] && true", Some("[")),
            ("A='b c' reload", None),
            ("$RELOAD now", None),
            ("(cd /x && make)", None),
            ("A=b", None),
            ("\"/opt/my program\" -x", None),
        ] {
            assert_eq!(of_shell(text), expected, "{text}");
        }
        let argv = Command::argv(["/opt/my program", "-x"]).unwrap();
        assert_eq!(word(&argv), Some("/opt/my program"));
    }

    #[test]
    fn haproxy_says_its_version_in_two_ways() {
        assert_eq!(
            version_of("HAProxy version 2.6.12-1+deb12u4 2026/01/01 - https\n"),
            Some("2.6.12-1+deb12u4")
        );
        assert_eq!(version_of("HA-Proxy version 2.0.1 2019/06/26\n"), Some("2.0.1"));
        assert_eq!(version_of("nginx version: 1\n"), None);
    }

    async fn found(text: &str) -> (Severity, String) {
        let finding = first_word("reload_command", &Command::shell(text).unwrap()).await;
        (finding.severity, finding.text)
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_an_error_and_none_is_run() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("reload");
        fs::write(&script, "#!/bin/sh\ntouch \"$(dirname \"$0\")/ran\"\n").unwrap();
        let text = script.to_str().unwrap();
        assert_eq!(found(text).await, (Severity::Error, "can't be run by this user".to_owned()));
        let mut permissions = fs::metadata(&script).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(&script, permissions).unwrap();
        assert_eq!(found(text).await, (Severity::Ok, "is there and can be run".to_owned()));
        assert!(!directory.path().join("ran").exists());
        assert_eq!(found("no-such-program-anywhere now").await.0, Severity::Error);
        assert_eq!(found(&format!("{text}.missing")).await.0, Severity::Error);
        for known in ["true", "cd /tmp", "sh -c x", ": nothing"] {
            assert_eq!(found(known).await.0, Severity::Ok, "{known}");
        }
    }
}
