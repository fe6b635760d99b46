//! What a ZooKeeper was asked, from its own log.

use super::status::session;

/// The class that handles every request last, on the way to its answer.
pub(super) const LOGGER: &str = "org.apache.zookeeper.server.FinalRequestProcessor";

/// A request that a server has handled.
///
/// A member of an ensemble handles the reads of its own clients, and the changes of everybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ZookeeperRequest {
    /// The session's id.
    pub session: i64,
    /// ZooKeeper's name for it, such as `getChildren2`, `getData`, `exists`, `create2`, `setData`, `delete`, `multi`,
    /// `ping`, `createSession`, `closeSession`.
    pub kind: String,
    /// The path of a read; of a change the server does not log it.
    pub path: Option<String>,
}

impl ZookeeperRequest {
    /// A line of the log, if it is of a request.
    pub(super) fn parse(line: &str) -> Option<Self> {
        // Each request has one line with these words; a second one, with its outcome, has not.
        let (logger, fields) = line.split_once(" - Processing request:: ")?;
        let (fields, path) = fields.split_once(" reqpath:")?;
        let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name));
        logger.ends_with(LOGGER).then_some(())?;
        Some(Self {
            session: session(field("sessionid:")?)?,
            kind: field("type:")?.to_owned(),
            path: path.starts_with('/').then(|| path.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_from_its_line() {
        let line = "[SyncThread:0] DEBUG org.apache.zookeeper.server.FinalRequestProcessor - Processing request:: \
                    sessionid:0x10000b0d5590000 type:getData cxid:0x1 zxid:0xfffffffffffffffe txntype:unknown \
                    reqpath:/a b";
        let request = ZookeeperRequest {
            session: 0x0100_00b0_d559_0000,
            kind: "getData".to_owned(),
            path: Some("/a b".to_owned()),
        };
        assert_eq!(ZookeeperRequest::parse(line), Some(request));
        assert_eq!(ZookeeperRequest::parse(&line.replace("Processing request:: ", "")), None);
        let change = line.replace("reqpath:/a b", "reqpath:n/a");
        assert_eq!(ZookeeperRequest::parse(&change).unwrap().path, None);
    }
}
