//! Digests of who is to be served, to be compared between hosts.

use std::fmt::Write as _;

use haproxy_render::Server;
use sha1::{Digest as _, Sha1};

/// How many characters a digest has.
const LENGTH: usize = 16;

/// The digest of a service's servers: the first 16 hexadecimal digits of the SHA-1 of a line for each server, the lines sorted.
///
/// A line is `NAME HOST:PORT WEIGHT KIND`, with `-` where there is no weight, and `active` or `backup`. What differs from host to host
/// without any difference in who serves (order, ids, cookies, options) is no part of it.
pub(super) fn of_servers(servers: &[Server]) -> String {
    let mut lines: Vec<String> = servers.iter().map(line).collect();
    lines.sort_unstable();
    of_lines(lines)
}

/// The digest of all services: that of a line `SERVICE DIGEST` for each, sorted.
pub(super) fn of_services<'a>(services: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines: Vec<String> =
        services.into_iter().map(|(service, digest)| format!("{service} {digest}")).collect();
    lines.sort_unstable();
    of_lines(lines)
}

fn line(server: &Server) -> String {
    let (address, port) = (server.address(), server.port());
    let weight = server.weight().map_or_else(|| "-".to_owned(), |weight| weight.to_string());
    let kind = if server.backup() { "backup" } else { "active" };
    format!("{} {address}:{port} {weight} {kind}", server.name())
}

fn of_lines(lines: Vec<String>) -> String {
    let mut hash = Sha1::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    let mut text = String::with_capacity(2 * LENGTH);
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text.truncate(LENGTH);
    text
}

#[cfg(test)]
mod tests {
    use haproxy_render::{Address, Name, ServerId, Weight};

    use super::*;

    fn server(number: u8, id: u32, weight: u16) -> Server {
        let name = Name::parse(&format!("s{number}")).unwrap();
        let address = Address::parse(&format!("10.0.0.{number}")).unwrap();
        let id = ServerId::new(id).unwrap();
        let builder = Server::builder(name, address, 80.try_into().unwrap(), id);
        builder.weight(Some(Weight::new(u32::from(weight)).unwrap())).build().unwrap()
    }

    #[test]
    fn order_and_ids_make_no_difference_and_addresses_and_weights_do() {
        let digest = of_servers(&[server(1, 1, 5), server(2, 2, 5)]);
        assert_eq!(digest, of_servers(&[server(2, 9, 5), server(1, 8, 5)]));
        assert_ne!(digest, of_servers(&[server(1, 1, 5)]));
        assert_ne!(digest, of_servers(&[server(1, 1, 5), server(2, 2, 6)]));
        assert_ne!(digest, of_servers(&[server(1, 1, 5), server(3, 2, 5)]));
        assert_eq!(of_services([("a", "1"), ("b", "2")]), of_services([("b", "2"), ("a", "1")]));
        assert_ne!(of_services([("a", "1"), ("b", "2")]), of_services([("a", "2"), ("b", "1")]));
    }

    #[test]
    fn it_can_be_computed_with_a_shell() {
        // printf 's1 10.0.0.1:80 5 active\n' | sha1sum | cut -c 1-16
        assert_eq!(of_servers(&[server(1, 7, 5)]), "0662a6116f8f5aaf");
    }
}
