//! Finding the servers' programs.

use std::path::{Path, PathBuf};

/// Where Debian keeps daemons; often missing from the `PATH` of ordinary users.
const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The program called `name`: what the variable `E2E_NAME` says, else the first on the `PATH` or in an `sbin` directory.
///
/// # Panics
/// When there is none. The message names `package`, the Debian package that has it.
pub(crate) fn find(name: &str, package: &str) -> PathBuf {
    if let Some(chosen) = variable(&format!("E2E_{}", name.to_uppercase())) {
        return PathBuf::from(chosen);
    }
    let path = search_path();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| is_program(candidate))
        .unwrap_or_else(|| {
            panic!(
                "`{name}` is not installed: it comes with the Debian package `{package}`; `scripts/test` installs \
                 everything that the tests need"
            )
        })
}

/// The caller's `PATH`, then the `sbin` directories.
pub(crate) fn search_path() -> String {
    let own = variable("PATH").unwrap_or_else(|| "/usr/bin:/bin".to_owned());
    format!("{own}:{}", SBIN.join(":"))
}

/// An environment variable that is set and not empty.
#[allow(
    clippy::disallowed_methods,
    reason = "a test harness is a program of its own: it is configured by its environment"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_program(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "Debian package `no-such-package`; `scripts/test`")]
    fn a_missing_program_names_its_package() {
        find("no-such-program-anywhere", "no-such-package");
    }

    #[test]
    fn a_program_on_the_path_is_found() {
        assert!(find("sh", "dash").ends_with("sh"));
    }
}
