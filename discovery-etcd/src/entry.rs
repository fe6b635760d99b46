//! What one key says.

use discovery_core::{Endpoint, Record};

use crate::address;

/// What one key says: an endpoint, or why it is none.
pub(crate) type Entry = Result<Endpoint, Box<str>>;

/// Reads the value of the key that continues its prefix with `suffix`.
pub(crate) fn parse(suffix: &[u8], value: &[u8]) -> Entry {
    let value = value.trim_ascii();
    let endpoint = match value.first() {
        None => return Err("the value is empty".into()),
        Some(b'{') => Record::parse(value).map_err(|error| error.to_string())?,
        Some(_) => bare(value)?,
    };
    Ok(if endpoint.id().is_some() { endpoint } else { endpoint.with_id(id(suffix)) })
}

fn bare(value: &[u8]) -> Entry {
    let neither = "the value is neither a registration in JSON nor host:port";
    // Nothing that long can be an address; what it is need not be looked at.
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= 300).ok_or(neither)?;
    let (host, port) = address::split(text).map_err(|error| format!("{neither}: {error}"))?;
    let port = port.ok_or(neither)?;
    Ok(Endpoint::new(host, port.get()).map_err(|error| error.to_string())?)
}

/// The last `_`- or `/`-separated part of a key, if it is a number.
fn id(suffix: &[u8]) -> Option<u64> {
    let last = suffix.rsplit(|byte| b"_/".contains(byte)).next()?;
    // `parse` alone would take a sign.
    let digits = last.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(last).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(suffix: &str, value: &str) -> Entry {
        parse(suffix.as_bytes(), value.as_bytes())
    }

    #[test]
    fn registrations_are_read_in_json_and_bare() {
        let json = read("i-1/3", r#" {"host":"10.0.0.1","port":80,"name":"a","weight":2} "#).unwrap();
        assert_eq!((json.to_string(), json.weight(), json.id()), ("a_10.0.0.1:80".into(), Some(2), Some(3)));
        for (value, shown) in [
            ("10.0.0.1:80\n", "10.0.0.1:80"),
            ("db.internal:5432", "db.internal:5432"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(read("a", value).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn the_id_is_the_number_at_the_end_of_the_key_unless_the_registration_has_one() {
        for (suffix, id) in [
            ("12", Some(12)),
            ("web_0000000012", Some(12)),
            ("i-1/5", Some(5)),
            ("a_1/b", None),
            ("10.0.0.1:80", None),
            ("a-7", None),
            ("a_", None),
            ("a_+7", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
        ] {
            assert_eq!(read(suffix, "10.0.0.1:80").unwrap().id(), id, "{suffix}");
        }
        assert_eq!(read("x_1", r#"{"host":"h","port":1,"id":9}"#).unwrap().id(), Some(9));
        assert_eq!(parse(b"\xff_4", b"h:1").unwrap().id(), Some(4));
    }

    #[test]
    fn what_is_no_registration_is_refused_with_the_reason() {
        for (value, reason) in [
            ("", "the value is empty"),
            (" \n", "the value is empty"),
            ("hello", "the value is neither a registration in JSON nor host:port"),
            ("[1]", "the value is neither a registration in JSON nor host:port"),
            ("10.0.0.1:0", "the port is not a number from 1 to 65535"),
            ("::1:80", "the port is not a number from 1 to 65535"),
            ("10.0.0.1:80 check", "the port is not a number from 1 to 65535"),
            ("a b:80", "the host has a character"),
            (r#"{"host":"a\nserver evil","port":1}"#, "the host has a character"),
            (r#"{"port":1}"#, "not a registration in JSON: missing field `host`"),
        ] {
            let refused = read("a", value).unwrap_err();
            assert!(refused.contains(reason), "{value:?}: {refused}");
        }
        assert!(parse(b"a", b"\xff\xfe").is_err());
        assert!(parse(b"a", &vec![b'x'; 2_000_000]).is_err());
        assert!(parse(b"a", "é".repeat(10).as_bytes()).is_err());
    }
}
