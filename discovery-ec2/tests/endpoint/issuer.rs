//! What gives a machine or a container its credentials, over HTTP: the instance's metadata (IMDSv2, and nothing older), and the agent of a
//! container's role.

/// What whoever asks has to know: the session that the metadata has opened for them, which the SDK names when it logs everything, or the
/// token that the container was started with.
const SESSION: &str = "a-session";
pub(crate) const CONTAINER_TOKEN: &str = "hunter-container";

/// Where a container asks.
const CONTAINER_PATH: &str = "/v1/credentials";

/// The ids of the keys that each gives.
pub(crate) const INSTANCE_KEY: &str = "ASIAINSTANCE";
pub(crate) const CONTAINER_KEY: &str = "ASIACONTAINER";

/// HTTP status and body for a request with this head, if it is for one of these. The containers' keys are numbered, by how many were
/// `given` before.
pub(super) fn answer(head: &str, given: &mut usize) -> Option<(u16, String)> {
    let (method, path) = head.split_once(" HTTP/1.1\r\n")?.0.split_once(' ')?;
    if path == CONTAINER_PATH {
        return Some(if header(head, "authorization") == Some(CONTAINER_TOKEN) {
            *given += 1;
            (200, credentials(&format!("{CONTAINER_KEY}{given}")))
        } else {
            (401, String::new())
        });
    }
    let path = path.strip_prefix("/latest/")?;
    if method == "PUT" && path == "api/token" {
        return Some((200, SESSION.to_owned()));
    }
    if header(head, "x-aws-ec2-metadata-token") != Some(SESSION) {
        return Some((401, String::new()));
    }
    Some(match path.strip_prefix("meta-data/") {
        Some("placement/region") => (200, "us-west-2".to_owned()),
        Some("iam/security-credentials/") => (200, "reader".to_owned()),
        Some("iam/security-credentials/reader") => (200, credentials(INSTANCE_KEY)),
        _ => (404, String::new()),
    })
}

/// A key. Its secret and its token have `hunter` in them.
fn credentials(id: &str) -> String {
    format!(
        "{{\"Code\": \"Success\", \"LastUpdated\": \"2026-01-02T03:04:05Z\", \"Type\": \"AWS-HMAC\", \"AccessKeyId\": \"{id}\", \
         \"SecretAccessKey\": \"hunter-secret\", \"Token\": \"hunter-token\", \"Expiration\": \"2100-01-01T00:00:00Z\"}}"
    )
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
