use std::ptr;
use std::slice::Iter;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::failure::Failure;
use super::stand_in::StandIn;
use super::{Patches, Reader};
use crate::config::node::{Entry, Node, Value};
use crate::config::report::Step;

impl<'n> Reader<'_, 'n> {
    /// Reads a value inside of this one, or its stand-in. No step: the value is this very node, as a list of one.
    fn descend<'de, S: DeserializeSeed<'de>>(
        self,
        seed: S,
        node: &'n Node,
        step: Option<Step>,
    ) -> Result<S::Value, Failure<'n>> {
        let result = if self.patches.replaced.contains(&ptr::from_ref(node)) {
            seed.deserialize(StandIn).map_err(|_| Failure::consequence().found_at(node))
        } else {
            seed.deserialize(Reader { node, single: step.is_none(), ..self })
                .map_err(|failure| failure.found_at(node))
        };
        result.map_err(|failure| match step {
            Some(step) => failure.inside(step, self.node),
            None => failure.or_a_list(),
        })
    }

    fn dropped(self, node: &Node) -> bool {
        self.patches.dropped.contains(&ptr::from_ref(node))
    }
}

/// The items of a list; a single value as a list of one; nothing for null.
#[derive(Debug)]
pub(super) struct Items<'p, 'n> {
    reader: Reader<'p, 'n>,
    left: Iter<'n, Node>,
    index: usize,
    /// Whether the items are written as a list, and so have an index in the path.
    listed: bool,
}

impl<'p, 'n> Items<'p, 'n> {
    pub(super) fn new(reader: Reader<'p, 'n>) -> Self {
        let (items, listed): (&'n [Node], bool) = match &reader.node.value {
            Value::Seq(items) => (items, true),
            Value::Null => (&[], false),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Map(_) => {
                (std::slice::from_ref(reader.node), false)
            }
        };
        Self { reader, left: items.iter(), index: 0, listed }
    }
}

impl<'de, 'n> SeqAccess<'de> for Items<'_, 'n> {
    type Error = Failure<'n>;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Self::Error> {
        for node in self.left.by_ref() {
            let index = self.index;
            self.index += 1;
            if self.listed && self.reader.dropped(node) {
                continue;
            }
            return self.reader.descend(seed, node, self.listed.then_some(Step::Index(index))).map(Some);
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The entries of a map, then the keys that were added to it; nothing for null.
#[derive(Debug)]
pub(super) struct Pairs<'p, 'n> {
    reader: Reader<'p, 'n>,
    entries: Iter<'n, Entry>,
    added: Iter<'p, &'static str>,
    current: Current<'n>,
}

#[derive(Debug)]
enum Current<'n> {
    None,
    Entry(&'n Entry),
    Added,
}

impl<'p, 'n> Pairs<'p, 'n> {
    pub(super) fn new(reader: Reader<'p, 'n>) -> Self {
        let Patches { added, .. } = reader.patches;
        let added = added.get(&ptr::from_ref(reader.node)).map(Vec::as_slice).unwrap_or_default();
        Self { reader, entries: reader.node.entries().iter(), added: added.iter(), current: Current::None }
    }

    /// Places a failure of the map's visitor: at the key that it read last if it did not get to the value (a
    /// setting given twice under two names), else at the map.
    pub(super) fn place(&self, failure: Failure<'n>) -> Failure<'n> {
        match self.current {
            Current::Entry(entry) => failure.found_at_key(entry, self.reader.node),
            Current::Added | Current::None => failure.found_at(self.reader.node),
        }
    }
}

impl<'de, 'n> MapAccess<'de> for Pairs<'_, 'n> {
    type Error = Failure<'n>;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Self::Error> {
        self.current = Current::None;
        for entry in self.entries.by_ref() {
            if self.reader.dropped(&entry.value) {
                continue;
            }
            self.current = Current::Entry(entry);
            // A key is read like a value: a map may have ports or names of variants for keys.
            let key = Node::new(Value::Str(entry.key.clone()), entry.line, entry.column);
            return match seed.deserialize(Reader { node: &key, patches: self.reader.patches, single: false })
            {
                Ok(key) => Ok(Some(key)),
                Err(failure) => Err(failure.into_key_failure().found_at_key(entry, self.reader.node)),
            };
        }
        let Some(key) = self.added.next() else { return Ok(None) };
        self.current = Current::Added;
        let key: StrDeserializer<'_, Failure<'n>> = (*key).into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Self::Error> {
        match std::mem::replace(&mut self.current, Current::None) {
            Current::Entry(entry) => {
                self.reader.descend(seed, &entry.value, Some(Step::Key(entry.key.clone())))
            }
            Current::Added => {
                seed.deserialize(StandIn).map_err(|_| Failure::consequence().found_at(self.reader.node))
            }
            Current::None => Err(Failure::custom("a value was asked for before its key")),
        }
    }
}

/// An enum written as a map of one entry: the variant and its content.
#[derive(Debug)]
pub(super) struct OneVariant<'p, 'n> {
    entry: &'n Entry,
    reader: Reader<'p, 'n>,
}

impl<'p, 'n> OneVariant<'p, 'n> {
    pub(super) fn new(entry: &'n Entry, reader: Reader<'p, 'n>) -> Self {
        Self { entry, reader }
    }

    fn content(&self) -> Reader<'p, 'n> {
        Reader { node: &self.entry.value, single: false, ..self.reader }
    }

    fn inside(&self, failure: Failure<'n>) -> Failure<'n> {
        failure.found_at(&self.entry.value).inside(Step::Key(self.entry.key.clone()), self.reader.node)
    }

    /// Without its content a variant is nothing: the patch has to be made further out.
    fn check(&self) -> Result<(), Failure<'n>> {
        if self.reader.patches.replaced.contains(&ptr::from_ref(&self.entry.value)) {
            return Err(Failure::consequence().found_at(self.reader.node));
        }
        Ok(())
    }
}

impl<'de, 'n> EnumAccess<'de> for OneVariant<'_, 'n> {
    type Error = Failure<'n>;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Self::Error> {
        let name: StrDeserializer<'_, Failure<'n>> = self.entry.key.as_str().into_deserializer();
        match seed.deserialize(name) {
            Ok(value) => Ok((value, self)),
            Err(failure) => Err(failure.found_at_key(self.entry, self.reader.node)),
        }
    }
}

impl<'de, 'n> VariantAccess<'de> for OneVariant<'_, 'n> {
    type Error = Failure<'n>;

    fn unit_variant(self) -> Result<(), Self::Error> {
        self.check()?;
        match self.entry.value.value {
            Value::Null => Ok(()),
            _ => Err(self.inside(Failure::invalid_type(Unexpected::Other(""), &"nothing"))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Self::Error> {
        self.check()?;
        seed.deserialize(self.content()).map_err(|failure| self.inside(failure))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.check()?;
        self.content().deserialize_tuple(len, visitor).map_err(|failure| self.inside(failure))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.check()?;
        self.content().deserialize_map(visitor).map_err(|failure| self.inside(failure))
    }
}
