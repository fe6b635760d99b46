//! How the children are doing, for whoever looks.

use std::{fmt, sync::Arc};

use tokio::sync::watch;

use crate::supervisor::Observed;

/// A cheap look at the children of a [`Multi`](super::Multi), apart from it.
#[derive(Clone)]
pub struct View {
    children: Arc<[(Arc<str>, watch::Receiver<Observed>)]>,
    in_use: watch::Receiver<Vec<usize>>,
    resolver: &'static str,
}

/// One child at the moment it was looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChildView {
    /// Its name.
    pub name: Arc<str>,
    /// What it said last, and how it is doing.
    pub observed: Observed,
    /// Whether what it said last is part of what the whole says.
    pub in_use: bool,
}

impl View {
    pub(super) fn new(
        children: Arc<[(Arc<str>, watch::Receiver<Observed>)]>,
        in_use: watch::Receiver<Vec<usize>>,
        resolver: &'static str,
    ) -> Self {
        Self { children, in_use, resolver }
    }

    /// How what the children say becomes one: `union`, `sequential` or `toggle`.
    pub fn resolver(&self) -> &'static str {
        self.resolver
    }

    /// The children, in their order.
    pub fn children(&self) -> Vec<ChildView> {
        let in_use = self.in_use.borrow().clone();
        let child = |(index, (name, observed)): (usize, &(Arc<str>, watch::Receiver<Observed>))| ChildView {
            name: Arc::clone(name),
            observed: observed.borrow().clone(),
            in_use: in_use.contains(&index),
        };
        self.children.iter().enumerate().map(child).collect()
    }

    /// Waits until each child has answered once, or will not any more. Cancel safe.
    pub async fn heard(&self) {
        for (_, observed) in self.children.iter() {
            // An error says that whoever would answer is gone.
            let _ = observed.clone().wait_for(|now| now.snapshot.is_some()).await;
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.children.iter().map(|(name, _)| name)).finish()
    }
}
