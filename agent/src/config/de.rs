//! From the tree to typed values, with every mistake at once.
//!
//! serde stops at the first mistake. So the tree is read again and again: each time the mistake is written down
//! and patched (an unknown key is left out; a wrong or missing value is replaced by a harmless one, or left out
//! where that does not help), until the rest reads through. What can only be a consequence of a patch is
//! not reported.

mod access;
mod failure;
mod scalar;
mod stand_in;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::ptr;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Expected, IntoDeserializer, Visitor};

use self::access::{Items, OneVariant, Pairs};
pub(crate) use self::failure::nearest;
use self::failure::{Failure, Kind};
use super::node::{Node, Value};
use super::report::{KeyPath, Problem};

/// Most problems reported for one value: nobody repairs more at a time, and each costs a pass.
const MAX_PROBLEMS: usize = 100;
/// A mistake takes a pass to find and at most three to patch around.
const MAX_PASSES: usize = 4 * MAX_PROBLEMS;

/// Reads `node`, which stands at `path`, as `T`.
///
/// Lenient as Synapse was, never lossy: a string of digits is a number where a number is wanted (no leading
/// zeros), a number or a boolean is a string where a string is wanted (spelled as written), `true`, `false`,
/// `yes`, `no`, `on`, `off` in any case are booleans where a boolean is wanted, a single value is a list of one
/// where a list is wanted, null is an empty list or an empty map where one is wanted, and `None` for an `Option`. A whole
/// number is a float, and a float without fraction is a whole number. 70000 is no `u16` and 1.5 is no integer.
///
/// Any `T` will do, with these limits: `#[serde(flatten)]`, `untagged` and `tag = "…"` make serde copy the values
/// before it reads them, so below such a type positions are those of the outermost value and leniency is lost.
/// An error of `#[serde(try_from = "…")]`, or of a hand-written `Deserialize`, is reported at the value it came from.
/// "Expected …" is what the type's visitor says it expects.
///
/// # Errors
/// Every mistake, never empty, sorted by position, at most a hundred.
pub fn from_node<T: DeserializeOwned>(node: &Node, path: &KeyPath) -> Result<T, Vec<Problem>> {
    from_node_knowing(node, path, &[])
}

/// As [`from_node`]; `also` are keys of the outermost map that someone else reads and that may be meant.
pub(super) fn from_node_knowing<T: DeserializeOwned>(
    node: &Node,
    path: &KeyPath,
    also: &[String],
) -> Result<T, Vec<Problem>> {
    match recover(node, path, also) {
        (Some(value), problems) if problems.is_empty() => Ok(value),
        (_, problems) => Err(problems),
    }
}

/// As [`from_node_knowing`], with the value that the patches make in spite of the mistakes, if they make one: good for
/// finding further mistakes, and for nothing else.
pub(super) fn recover<T: DeserializeOwned>(
    node: &Node,
    path: &KeyPath,
    also: &[String],
) -> (Option<T>, Vec<Problem>) {
    let mut recovery = Recovery::new(node, path, also);
    let mut recovered = None;
    for _ in 0..MAX_PASSES {
        let reader = Reader { node, patches: &recovery.patches, single: false };
        match T::deserialize(reader).map_err(|failure| failure.found_at(node)) {
            Ok(value) if recovery.problems.is_empty() => return (Some(value), Vec::new()),
            Ok(value) => {
                recovered = Some(value);
                break;
            }
            Err(failure) => {
                if !recovery.patch(&failure) || recovery.problems.len() >= MAX_PROBLEMS {
                    break;
                }
            }
        }
    }
    if recovery.problems.is_empty() {
        // Cannot be: the first failure is always reported. Saying so beats claiming success.
        recovery.problems.push(Problem::new(node.line, node.column, path, "cannot be read"));
    }
    recovery.problems.sort();
    recovery.problems.dedup();
    (recovered, recovery.problems)
}

/// What is read differently from what is written. Nodes are known by their address: the tree is borrowed, and so
/// stays where it is, for as long as this exists.
#[derive(Debug, Default)]
struct Patches {
    /// Values read as a stand-in.
    replaced: HashSet<*const Node>,
    /// Entries and list items left out, known by their value.
    dropped: HashSet<*const Node>,
    /// Keys added to a map, with stand-ins as values.
    added: HashMap<*const Node, Vec<&'static str>>,
}

/// The mistakes found so far and how they were patched.
struct Recovery<'n> {
    root: &'n Node,
    path: &'n KeyPath,
    also: &'n [String],
    patches: Patches,
    problems: Vec<Problem>,
    /// Maps and lists with a patch somewhere inside: what their types say of them as a whole proves nothing.
    tainted: HashSet<*const Node>,
    /// Keys that a map would have without its mistakes, with the map.
    lost: HashSet<(*const Node, String)>,
}

impl<'n> Recovery<'n> {
    fn new(root: &'n Node, path: &'n KeyPath, also: &'n [String]) -> Self {
        Self {
            root,
            path,
            also,
            patches: Patches::default(),
            problems: Vec::new(),
            tainted: HashSet::new(),
            lost: HashSet::new(),
        }
    }

    /// Writes the failure down and patches around it. False when nothing is left to try.
    fn patch(&mut self, failure: &Failure<'n>) -> bool {
        let Some(site) = failure.site() else { return false };
        let at = ptr::from_ref(site.node);
        let consequence = match failure.kind() {
            Kind::Consequence => true,
            Kind::Missing(key) => self.lost.contains(&(at, (*key).to_owned())),
            Kind::Custom(_) | Kind::Length { .. } => self.tainted.contains(&at),
            Kind::Invalid { .. }
            | Kind::UnknownKey { .. }
            | Kind::UnknownVariant { .. }
            | Kind::Repeated(_) => false,
        };
        // `also` belongs to the outermost map only.
        let outermost = failure.above().first().is_some_and(|parent| ptr::eq(*parent, self.root));
        let also = if outermost { self.also } else { &[] };
        if !consequence {
            self.problems.push(failure.problem(self.path, also));
        }
        let meant = failure.suggestion(also);
        if !matches!(failure.kind(), Kind::UnknownKey { .. }) || meant.is_some() {
            self.tainted.insert(at);
            self.tainted.extend(failure.above().iter().map(|node| ptr::from_ref(*node)));
        }
        if let (Some(meant), Some(map)) = (meant, failure.above().first()) {
            self.lost.insert((ptr::from_ref(*map), meant.to_owned()));
        }
        match failure.kind() {
            Kind::Missing(key) => {
                let added = self.patches.added.entry(at).or_default();
                if added.contains(key) {
                    return self.replace(failure, site.node);
                }
                added.push(key);
                true
            }
            Kind::UnknownKey { .. } | Kind::Repeated(_) => self.patches.dropped.insert(at),
            Kind::Invalid { .. }
            | Kind::UnknownVariant { .. }
            | Kind::Custom(_)
            | Kind::Length { .. }
            | Kind::Consequence => self.replace(failure, site.node),
        }
    }

    /// Reads a stand-in instead of `node`; leaves it out if it is one already.
    fn replace(&mut self, failure: &Failure<'n>, node: &'n Node) -> bool {
        if ptr::eq(node, self.root) {
            return false;
        }
        if self.patches.replaced.insert(ptr::from_ref(node)) {
            return true;
        }
        if let (Some(map), Some(key)) = (failure.above().first(), failure.key()) {
            self.lost.insert((ptr::from_ref(*map), key.to_owned()));
        }
        self.patches.dropped.insert(ptr::from_ref(node))
    }
}

/// A deserializer over a node. `'p`: the patches of this pass; `'n`: the tree.
#[derive(Debug, Clone, Copy)]
struct Reader<'p, 'n> {
    node: &'n Node,
    patches: &'p Patches,
    /// Whether the node is being read as the only item of a list that was not written: that happens once, so that
    /// a type that contains lists of itself comes to an end.
    single: bool,
}

impl<'n> Reader<'_, 'n> {
    fn wrong(self, expected: &dyn Expected) -> Failure<'n> {
        Failure::invalid(expected.to_string()).found_at(self.node)
    }
}

macro_rules! integers {
    ($($method:ident => $visit:ident: $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.integer().and_then(|number| <$type>::try_from(number).ok()) {
                Some(number) => visitor.$visit(number).map_err(|failure: Failure<'n>| failure.found_at(self.node)),
                None => Err(self.wrong(&visitor)),
            }
        }
    )*};
}

impl<'de, 'n> Deserializer<'de> for Reader<'_, 'n> {
    type Error = Failure<'n>;

    integers! {
        deserialize_i8 => visit_i8: i8,
        deserialize_i16 => visit_i16: i16,
        deserialize_i32 => visit_i32: i32,
        deserialize_i64 => visit_i64: i64,
        deserialize_i128 => visit_i128: i128,
        deserialize_u8 => visit_u8: u8,
        deserialize_u16 => visit_u16: u16,
        deserialize_u32 => visit_u32: u32,
        deserialize_u64 => visit_u64: u64,
        deserialize_u128 => visit_u128: u128,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Int(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Str(text) => visitor.visit_str(text),
            Value::Seq(_) => return self.deserialize_seq(visitor),
            Value::Map(_) => return self.deserialize_map(visitor),
        };
        result.map_err(|failure: Failure<'n>| failure.found_at(self.node))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.boolean() {
            Some(truth) => {
                visitor.visit_bool(truth).map_err(|failure: Failure<'n>| failure.found_at(self.node))
            }
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.float() {
            Some(number) => {
                visitor.visit_f64(number).map_err(|failure: Failure<'n>| failure.found_at(self.node))
            }
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.node.text() {
            Some(text) => {
                visitor.visit_str(&text).map_err(|failure: Failure<'n>| failure.found_at(self.node))
            }
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.node.text() {
            Some(text) => visitor
                .visit_bytes(text.as_bytes())
                .map_err(|failure: Failure<'n>| failure.found_at(self.node)),
            None => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
        .map_err(|failure: Failure<'n>| failure.found_at(self.node))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.node.value {
            Value::Null => visitor.visit_unit().map_err(|failure: Failure<'n>| failure.found_at(self.node)),
            _ => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self).map_err(|failure| failure.found_at(self.node))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.single && !matches!(self.node.value, Value::Seq(_)) {
            return Err(self.wrong(&visitor));
        }
        visitor.visit_seq(Items::new(self)).map_err(|failure| failure.found_at(self.node))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Self::Error> {
        match &self.node.value {
            Value::Seq(items) if items.len() == len => self.deserialize_seq(visitor),
            // Visitors stop at the last item they want; what follows would be ignored.
            Value::Seq(items) => Err(Failure::length(items.len(), len).found_at(self.node)),
            _ => Err(Failure::invalid(format!("a list of {len}")).found_at(self.node)),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.node.value {
            Value::Map(_) | Value::Null => {
                let mut pairs = Pairs::new(self);
                visitor.visit_map(&mut pairs).map_err(|failure| pairs.place(failure))
            }
            _ => Err(self.wrong(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        if let [entry] = self.node.entries() {
            return visitor
                .visit_enum(OneVariant::new(entry, self))
                .map_err(|failure| failure.found_at(self.node));
        }
        match self.node.text() {
            Some(name) => {
                let name: StrDeserializer<'_, Failure<'n>> = name.as_ref().into_deserializer();
                visitor.visit_enum(name).map_err(|failure| failure.found_at(self.node))
            }
            None => Err(Failure::invalid(failure::one_of(variants)).found_at(self.node)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }
}
