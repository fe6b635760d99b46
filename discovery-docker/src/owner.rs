//! Who may use a socket.

use std::{os::unix::fs::MetadataExt, path::Path};

/// The file that groups are named in.
const GROUPS: &str = "/etc/group";

/// Says what this program's user lacks to use the socket at `path`, for an error message.
pub(crate) async fn of(path: &Path) -> String {
    let Ok(socket) = tokio::fs::metadata(path).await else {
        return "a directory above it cannot be entered by this program's user".to_owned();
    };
    let groups = tokio::fs::read_to_string(GROUPS).await.unwrap_or_default();
    let gid = socket.gid();
    let group = named(&groups, gid).map_or_else(|| gid.to_string(), |name| format!("`{name}` ({gid})"));
    format!("the socket belongs to the group {group}, which this program's user has to be in")
}

fn named(groups: &str, gid: u32) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(gid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_by_its_name() {
        let groups = "root:x:0:\nbroken\ndocker:x:998:ada,bob\n";
        assert_eq!(named(groups, 998), Some("docker"));
        assert_eq!(named(groups, 7), None);
    }

    #[tokio::test]
    async fn who_may_not_use_a_socket_is_told_which_group_may() {
        let socket = tempfile::NamedTempFile::new().unwrap();
        let told = of(socket.path()).await;
        assert!(
            told.starts_with("the socket belongs to the group ") && told.contains("has to be in"),
            "{told}"
        );
        assert!(of(Path::new("/nonexistent/docker.sock")).await.contains("a directory above"));
    }
}
