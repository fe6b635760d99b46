//! What a service asks a server, and what is answered.

use std::sync::Arc;

use crate::session::Fault;

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The names of the children.
    Children,
    /// Whether there is a node at all.
    Exists,
    /// The data of one child.
    Child(Arc<str>),
    /// The generator configuration.
    Settings,
    /// Whether there is a node for it.
    SettingsExist,
}

/// A question of one service's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) ask: Ask,
    /// Arm a watch with it.
    pub(crate) watch: bool,
    /// Which child of that name: one may go and come again under its name while a question is under way.
    pub(crate) ticket: u64,
}

/// What was answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Names(Result<Vec<String>, Fault>),
    Exists(Result<bool, Fault>),
    Data(Result<Vec<u8>, Fault>),
}

impl Answer {
    /// Why there is no answer.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Names(answer) => answer.as_ref().err(),
            Self::Exists(answer) => answer.as_ref().err(),
            Self::Data(answer) => answer.as_ref().err(),
        }
    }
}
