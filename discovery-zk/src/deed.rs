//! What a driver does, for whoever counts it.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    node::Node,
    question::{Answer, Ask, Question},
    session::Fault,
};

/// Something that a driver has done. Paths are those that the services were configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deed<'a> {
    /// It has a session, after this time.
    Connected {
        /// How long the server took.
        took: Duration,
    },
    /// It has lost a session. Everything is read again in the next.
    Lost,
    /// It has listed the children of a node.
    Listed {
        /// The node.
        path: &'a str,
        /// How long the server took.
        took: Duration,
        /// Whether there is such a node.
        found: bool,
    },
    /// It has asked to be told when a node is made.
    Watched {
        /// The node.
        path: &'a str,
        /// How long the server took.
        took: Duration,
    },
    /// It has read what one child says.
    Read {
        /// The parent.
        path: &'a str,
        /// How long the server took.
        took: Duration,
        /// Whether the server would not tell. That there is no such child any more is no failure.
        failed: bool,
    },
    /// It has read generator configuration.
    ReadSettings {
        /// The node whose children are the service, wherever the settings are.
        path: &'a str,
        /// How long the server took.
        took: Duration,
        /// Whether the server would not tell. That there is none is no failure.
        failed: bool,
    },
    /// It has listed the children of a node and read all that were not known.
    Discovered {
        /// The node.
        path: &'a str,
        /// How long that took from the question for the list.
        took: Duration,
    },
}

type See = dyn Fn(Deed<'_>) + Send + Sync;

/// Somebody who is told, or nobody.
#[derive(Clone, Default)]
pub(crate) struct Witness(Option<Arc<See>>);

impl Witness {
    pub(crate) fn new(see: impl Fn(Deed<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(see)))
    }

    pub(crate) fn tell(&self, deed: Deed<'_>) {
        if let Some(see) = &self.0 {
            see(deed);
        }
    }

    /// Tells of a question that was answered after this time. One that was not because the session ended is not told.
    pub(crate) fn answered(&self, node: &Node, question: &Question, answer: &Answer, took: Duration) {
        let (fault, path) = (answer.fault(), node.path().as_str());
        if matches!(fault, Some(Fault::Lost(_))) {
            return;
        }
        let gone = matches!(fault, Some(Fault::NoNode));
        let failed = fault.is_some() && !gone;
        self.tell(match question.ask {
            Ask::Children => Deed::Listed { path, took, found: !gone },
            Ask::Exists => Deed::Watched { path, took },
            Ask::Child(_) => Deed::Read { path, took, failed },
            Ask::Settings | Ask::SettingsExist => Deed::ReadSettings { path, took, failed },
        });
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Witness" } else { "Nobody" })
    }
}
