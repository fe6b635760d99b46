//! Who has which id in the process.

use haproxy_render::{Name, ServerId};

use super::Live;

impl Live {
    /// The servers that the process has in this backend, those that leave and those [by somebody else](Self::strangers) included, with
    /// their ids: nobody else may be given
    /// one of these before its holder is known to be deleted. Nobody, while it is not known what runs.
    pub fn holders<'a>(&'a self, backend: &'a Name) -> impl Iterator<Item = (&'a Name, ServerId)> {
        let services = self.known.iter().flat_map(|known| &known.document.services);
        let runs = services.filter(move |service| service.backend.name == *backend);
        let runs = runs.flat_map(|service| &service.backend.servers);
        let leaves = self.known.iter().flat_map(|known| known.leaving.iter());
        let leaves = leaves.filter(move |departure| departure.backend() == backend);
        let leaves = leaves.map(|departure| (departure.server(), departure.id()));
        let found = self.known.iter().flat_map(|_| &self.found);
        let found = found.filter(move |stranger| stranger.backend == *backend);
        let found = found.map(|stranger| (&stranger.server, stranger.id));
        leaves.chain(found).chain(runs.map(|server| (server.name(), server.id())))
    }
}
