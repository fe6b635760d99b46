//! Running ZooKeeper's programs, which are Java's.

use std::path::{Path, PathBuf};

use crate::binary;

/// Where Debian keeps Java's archives.
const ARCHIVES: &str = "/usr/share/java";
/// ZooKeeper, whose manifest names what it needs, except the logger (to stderr) and the rest of Netty, which TLS needs.
const CLASSES: [&str; 5] = [
    "zookeeper.jar",
    "slf4j-simple.jar",
    "netty-codec.jar",
    "netty-resolver.jar",
    "netty-transport-native-unix-common.jar",
];
/// The program that serves.
pub(super) const SERVER: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
/// The program that runs one command on a server.
pub(super) const CLIENT: &str = "org.apache.zookeeper.ZooKeeperMain";

/// The program `java`.
pub(super) fn program() -> PathBuf {
    binary::find("java", "default-jre-headless")
}

/// Java's arguments: `flags`, then the class to run, then its own arguments.
pub(super) fn arguments(flags: &[String], class: &str, arguments: &[&str]) -> Vec<String> {
    // A small program that is soon there, instead of one that is fast in the long run.
    let lean = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Xshare:auto"];
    let log = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
    lean.into_iter()
        .chain([log])
        .map(str::to_owned)
        .chain(flags.iter().cloned())
        .chain(["-cp".to_owned(), class_path(), class.to_owned()])
        .chain(arguments.iter().map(|&argument| argument.to_owned()))
        .collect()
}

/// What the variable `E2E_ZOOKEEPER` says, else what the Debian package has.
fn class_path() -> String {
    if let Some(chosen) = binary::variable("E2E_ZOOKEEPER") {
        return chosen;
    }
    let archives = CLASSES.map(|name| format!("{ARCHIVES}/{name}"));
    assert!(
        Path::new(&archives[0]).exists(),
        "ZooKeeper is not installed: it comes with the Debian package `libzookeeper-java`; `scripts/test` installs \
         everything that the tests need"
    );
    archives.join(":")
}
