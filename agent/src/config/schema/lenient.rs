//! What the reader takes besides what a type says: see [`from_node`](crate::config::from_node).

use serde_json::{Map, Value, json};

/// Digits, as the reader takes them for a whole number: no leading zeros.
const WHOLE: &str = r"^\s*-?(0|[1-9][0-9]*)\s*$|<%";
/// A number with a fraction or an exponent, or without.
const NUMBER: &str = r"^\s*-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$|<%";
const TRUTH: &str =
    r"^\s*([tT][rR][uU][eE]|[yY][eE][sS]|[oO][nN]|[fF][aA][lL][sS][eE]|[nN][oO]|[oO][fF][fF])\s*$|<%";

/// A mark on what is read as it is written. It is taken out.
const EXACT: &str = "x-exact";

/// What is said about a value and not of its form.
const ANNOTATIONS: [&str; 6] = ["description", "default", "deprecated", "examples", "title", "writeOnly"];

/// Has a schema take every form that is read where it takes one, and leaves out what is noise to people.
pub(super) fn loosen(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    let is_noise =
        |format: &Value| format.as_str().is_some_and(|format| format.starts_with(['u', 'i', 'd', 'f']));
    if map.get("format").is_some_and(is_noise) {
        map.remove("format");
    }
    if map.get("default") == Some(&Value::Null) {
        map.remove("default");
    }
    for key in ["items", "additionalProperties", "if", "then", "else", "not"] {
        if let Some(inner) = map.get_mut(key) {
            loosen(inner);
        }
    }
    for key in ["anyOf", "allOf", "oneOf"] {
        map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().for_each(loosen);
    }
    for key in ["properties", "$defs", "patternProperties"] {
        let inner = map.get_mut(key).and_then(Value::as_object_mut);
        inner.into_iter().flat_map(Map::values_mut).for_each(loosen);
    }
    let restricted = ["enum", "const", "pattern"].iter().any(|key| map.contains_key(*key));
    if map.remove(EXACT).is_none() && !restricted {
        widen(map);
    }
}

/// Widens the types of one schema.
fn widen(map: &mut Map<String, Value>) {
    let mut types: Vec<String> = match map.get("type") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return,
    };
    let has = |types: &[String], name: &str| types.iter().any(|known| known == name);
    if has(&types, "array") && map.contains_key("items") {
        return one_or_more(map);
    }
    let text = ["integer", "number", "boolean"].into_iter().find(|name| has(&types, name));
    let pattern = match text {
        _ if has(&types, "string") => None,
        Some("integer") => Some(WHOLE),
        Some("number") => Some(NUMBER),
        Some(_) => Some(TRUTH),
        None => None,
    };
    if let Some(pattern) = pattern {
        types.push("string".to_owned());
        map.insert("pattern".to_owned(), json!(pattern));
    } else if has(&types, "string") {
        for more in ["number", "boolean"] {
            if !has(&types, more) {
                types.push(more.to_owned());
            }
        }
    } else if has(&types, "object") && !map.contains_key("required") && !has(&types, "null") {
        types.push("null".to_owned());
    }
    map.insert("type".to_owned(), if types.len() == 1 { json!(types[0]) } else { json!(types) });
}

/// A list, or one item for a list of one, or nothing for none.
fn one_or_more(map: &mut Map<String, Value>) {
    let (said, mut list): (Map<_, _>, Map<_, _>) =
        std::mem::take(map).into_iter().partition(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
    list.insert("type".to_owned(), json!("array"));
    let item = list.get("items").cloned().unwrap_or(json!(true));
    *map = said;
    map.insert("anyOf".to_owned(), json!([list, item, { "type": "null" }]));
}
