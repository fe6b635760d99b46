//! Where HAProxy is: the first `haproxy` on the `PATH` or in an `sbin` directory, or the one that `E2E_HAPROXY` names.

use std::path::PathBuf;

#[allow(clippy::disallowed_methods, reason = "a test is a program of its own: its environment configures it")]
pub(crate) fn program() -> PathBuf {
    let chosen = std::env::var("E2E_HAPROXY").ok().filter(|value| !value.is_empty());
    if let Some(chosen) = chosen {
        return PathBuf::from(chosen);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"))
        .map(|directory| directory.join("haproxy"))
        .find(|candidate| candidate.is_file())
        .expect("`haproxy` is not installed: `scripts/test` installs what the tests need")
}
