//! What single words of HAProxy's language look like, as far as a registry may write them.

use std::net::Ipv4Addr;

/// Digits, from `least` up to what HAProxy's signed integers hold.
pub(super) fn number(word: &str, least: u32) -> bool {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits && word.parse().is_ok_and(|number| (least..=i32::MAX.unsigned_abs()).contains(&number))
}

/// 1 to 100: what HAProxy does that often for one request.
pub(super) fn few(word: &str) -> bool {
    number(word, 1) && word.parse().is_ok_and(|number: u32| number <= 100)
}

pub(super) fn duration(word: &str) -> bool {
    let unit = word.trim_start_matches(|char: char| char.is_ascii_digit());
    let micros: u64 = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return false,
    };
    let count: Option<u64> = word[..word.len() - unit.len()].parse().ok();
    count.and_then(|count| count.checked_mul(micros)).is_some_and(|all| all < 24 * 86_400_000_000)
}

/// The name of a header, a cookie, a parameter, a user, a domain.
pub(super) fn name(word: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=64).contains(&word.len()) && word.bytes().all(letter)
}

/// A method of HTTP.
pub(super) fn token(word: &str) -> bool {
    (1..=16).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

pub(super) fn uri(word: &str) -> bool {
    word == "*" || word.starts_with('/')
}

pub(super) fn hex(word: &str) -> bool {
    !word.is_empty() && word.len().is_multiple_of(2) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `200`, or `200-299`.
pub(super) fn statuses(item: &str) -> bool {
    let status =
        |word: &str| word.len() == 3 && word.parse().is_ok_and(|status: u16| (100..=599).contains(&status));
    match item.split_once('-') {
        Some((first, last)) => status(first) && status(last) && first <= last,
        None => status(item),
    }
}

pub(super) fn ipv4_network(word: &str) -> bool {
    let (address, prefix) = word.split_once('/').unwrap_or((word, "32"));
    address.parse::<Ipv4Addr>().is_ok()
        && (number(prefix, 0) && prefix.parse().is_ok_and(|bits: u32| bits <= 32))
}
