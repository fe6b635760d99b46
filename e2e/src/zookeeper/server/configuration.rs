//! What a server is started with.

use std::fmt::Write as _;
use std::path::Path;

use super::Zookeeper;
use crate::zookeeper::request::LOGGER;

impl Zookeeper {
    /// What `zoo.cfg` holds.
    pub(super) fn configuration(&self) -> String {
        let options = &self.options;
        let (min, max) = options.session_timeouts;
        let mut text = format!(
            "tickTime={}\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
             minSessionTimeout={}\nmaxSessionTimeout={}\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\n",
            options.tick.as_millis(),
            self.dir.join("data").display(),
            self.ports.client,
            min.as_millis(),
            max.as_millis(),
        );
        if let (Some(tls), Some(port)) = (&options.tls, &self.ports.tls) {
            let key_store = self.dir.write("server.pem", key_store(&tls.key, &tls.certificate));
            let client_auth = if tls.client_certificate.is_some() { "need" } else { "none" };
            // ZooKeeper's plain way to serve knows no TLS.
            let _ = write!(
                text,
                "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
                 secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\nssl.clientAuth={client_auth}\n\
                 ssl.keyStore.location={}\nssl.keyStore.type=PEM\n\
                 ssl.trustStore.location={}\nssl.trustStore.type=PEM\n",
                key_store.display(),
                tls.ca.display(),
            );
        }
        if options.sasl.is_some() {
            text.push_str("authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n");
        }
        if let Some(member) = &self.member {
            // Ticks in which members have to find each other, and may be silent.
            let _ = write!(text, "initLimit=10\nsyncLimit=4\n{}", member.servers);
        }
        for line in &options.settings {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    /// What Java is told beside it.
    pub(super) fn server_flags(&self) -> Vec<String> {
        let options = &self.options;
        let mut flags = vec![
            format!("-Xmx{}m", options.heap),
            "-XX:+ExitOnOutOfMemoryError".to_owned(),
            // The end of a session is one change, which names all its ephemeral nodes. Beyond twice `jute.maxbuffer` a server
            // writes it, and neither it nor its followers can read it: the end of that ensemble, and not what is tested here.
            format!("-Dzookeeper.jute.maxbuffer.extrasize={}", 64 << 20),
        ];
        // One thread for all connections. With several, a client that takes back its session while somebody else closes that
        // is left on a connection that ZooKeeper has forgotten, and on which it never answers.
        for property in [
            "zookeeper.nio.numSelectorThreads=1",
            "zookeeper.nio.numWorkerThreads=0",
            "io.netty.eventLoopThreads=1",
        ] {
            flags.push(format!("-D{property}"));
        }
        if !options.fsync {
            flags.push("-Dzookeeper.forceSync=no".to_owned());
        }
        if options.request_log {
            flags.push(format!("-Dorg.slf4j.simpleLogger.log.{LOGGER}=debug"));
        }
        if let Some(sasl) = &options.sasl {
            let text = format!(
                "Server {{\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n  user_{}=\"{}\";\n}};\n",
                sasl.user, sasl.password
            );
            let path = self.dir.write("server.jaas", text);
            flags.push(format!("-Djava.security.auth.login.config={}", path.display()));
        }
        flags.extend(options.properties.iter().map(|property| format!("-D{property}")));
        flags
    }
}

/// The two in one file, as ZooKeeper wants them.
pub(super) fn key_store(key: &Path, certificate: &Path) -> Vec<u8> {
    let read = |path: &Path| {
        std::fs::read(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
    };
    [read(key), read(certificate)].concat()
}
