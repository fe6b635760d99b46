//! How often what is to be loaded has failed, however much else changes meanwhile.

use std::sync::Arc;

use haproxy_render::{Backend, Document, Renderer, Service, plan::Revision};

use super::{Live, acquaintance::Known};
use crate::file::Text;

impl Live {
    /// How often in a row what `wanted` has to be loaded for has failed.
    pub(super) fn failures(&self, text: &Text, wanted: &Document, known: Option<&Known>) -> u32 {
        let before = match &self.failing {
            Some((purpose, failures)) if *purpose == purpose_of(wanted, known) => *failures,
            _ => 0,
        };
        before.max(self.applier.failures(text))
    }
}

/// What `wanted` has to be loaded for: what it has besides servers, which commands take care of meanwhile, so that no change of
/// those makes another attempt of it. Unless there is nothing but servers to load.
pub(super) fn purpose_of(wanted: &Document, known: Option<&Known>) -> Option<Revision> {
    let besides = bare(wanted.clone());
    if known.is_some_and(|known| bare(Document::clone(&known.document)) == besides) {
        return wanted.revision;
    }
    Some(Renderer::default().revision(&besides))
}

/// Without its servers, and the revision that they are part of.
pub(super) fn bare(mut document: Document) -> Document {
    document.revision = None;
    for service in &mut document.services {
        let Service { name, frontend, backend, shared_frontend, .. } = &**service;
        let mut bare = Service::new(name.clone(), Backend::new(backend.name.clone(), backend.lines.clone()));
        bare.frontend.clone_from(frontend);
        bare.shared_frontend.clone_from(shared_frontend);
        *service = Arc::new(bare);
    }
    document
}
