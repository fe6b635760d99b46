//! What an ensemble in memory holds.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// What can happen to it.
#[derive(Clone)]
pub(super) enum Change {
    Create(String, Arc<[u8]>),
    Set(String, Arc<[u8]>),
    Delete(String),
}

#[derive(Default)]
pub(super) struct Tree(pub(super) HashMap<String, Node>);

#[derive(Default)]
pub(super) struct Node {
    pub(super) data: Arc<[u8]>,
    pub(super) children: BTreeSet<String>,
}

/// Which watches a change fires, in the order in which a server does.
pub(super) enum Firing {
    Data { path: String, gone: bool },
    Children { path: String, gone: bool },
}

pub(super) fn join(parent: &str, child: &str) -> String {
    if parent == "/" { format!("/{child}") } else { format!("{parent}/{child}") }
}

/// A path's parent and name. `/` has neither.
fn split(path: &str) -> Option<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    match (parent, name) {
        (_, "") => None,
        ("", name) => Some(("/", name)),
        both => Some(both),
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        Self(HashMap::from([("/".to_owned(), Node::default())]))
    }

    /// Makes a change, and says what it fires.
    pub(super) fn apply(&mut self, change: &Change) -> Vec<Firing> {
        match change {
            Change::Create(path, data) => {
                let node = Node { data: Arc::clone(data), children: BTreeSet::new() };
                self.0.insert(path.clone(), node);
                let (parent, name) = split(path).expect("`/` is never made");
                let above = self.0.get_mut(parent).expect("the parent was made before");
                above.children.insert(name.to_owned());
                vec![
                    Firing::Data { path: path.clone(), gone: false },
                    Firing::Children { path: parent.to_owned(), gone: false },
                ]
            }
            Change::Set(path, data) => {
                self.0.get_mut(path).expect("it was there when the change was made").data = Arc::clone(data);
                vec![Firing::Data { path: path.clone(), gone: false }]
            }
            Change::Delete(path) => {
                self.0.remove(path);
                let (parent, name) = split(path).expect("`/` is never deleted");
                let above = self.0.get_mut(parent).expect("the parent goes later");
                above.children.remove(name);
                vec![
                    Firing::Data { path: path.clone(), gone: true },
                    Firing::Children { path: path.clone(), gone: true },
                    Firing::Children { path: parent.to_owned(), gone: false },
                ]
            }
        }
    }
}
