//! The statistics of servers, as comma separated values.

use super::Unreadable;
use super::running::{Found, Usage};
use crate::name::Cookie;
use crate::number::digits;

const REPLY: &str = "show stat";

/// The columns that matter, in the order of [`Row`].
const NAMES: [&str; 8] = ["pxname", "svname", "scur", "slim", "bck", "check_rise", "check_fall", "cookie"];

/// Fills in [`Found::usage`] of each server that `find` finds in `servers` by the names of backend and server.
pub(crate) fn read<T>(
    reply: &str,
    servers: &mut T,
    find: impl for<'t> Fn(&'t mut T, &str, &str) -> Option<&'t mut Found>,
) -> Result<(), Unreadable> {
    let mut lines = (1..).zip(reply.lines());
    let header = lines.next().map_or("", |(_, line)| line);
    let columns = columns(header).ok_or_else(|| Unreadable::new(REPLY, 1, "lacks a column", header))?;
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let row = row(line, columns).ok_or_else(|| Unreadable::new(REPLY, number, "lacks a field", line))?;
        let [backend, server, ..] = &row;
        let Some(found) = find(servers, backend, server) else { continue };
        found.usage = Some(usage(&row).map_err(|problem| Unreadable::new(REPLY, number, problem, line))?);
    }
    Ok(())
}

fn columns(header: &str) -> Option<[usize; NAMES.len()]> {
    let names: Vec<&str> = header.strip_prefix("# ")?.split(',').collect();
    let mut at = [0; NAMES.len()];
    for (at, wanted) in at.iter_mut().zip(NAMES) {
        *at = names.iter().position(|name| *name == wanted)?;
    }
    Some(at)
}

type Row = [String; NAMES.len()];

/// The fields of a line that matter; `None` if it has too few.
fn row(line: &str, columns: [usize; NAMES.len()]) -> Option<Row> {
    let mut row = Row::default();
    let mut left = NAMES.len();
    let mut rest = Some(line);
    let mut at = 0;
    while let Some(text) = rest.filter(|_| left > 0) {
        let (field, after) = field(text)?;
        if let Some(place) = columns.iter().position(|column| *column == at) {
            row[place] = field.replace("\"\"", "\"");
            left -= 1;
        }
        rest = after;
        at += 1;
    }
    (left == 0).then_some(row)
}

/// The first field, without the quotes around it, and what follows its comma.
fn field(text: &str) -> Option<(&str, Option<&str>)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(text.split_once(',').map_or((text, None), |(field, rest)| (field, Some(rest))));
    };
    let mut at = 0;
    loop {
        at += quoted[at..].find('"')?;
        // Two quotes are one that belongs to the text.
        if !quoted[at + 1..].starts_with('"') {
            break;
        }
        at += 2;
    }
    match &quoted[at + 1..] {
        "" => Some((&quoted[..at], None)),
        rest => Some((&quoted[..at], Some(rest.strip_prefix(',')?))),
    }
}

fn usage(row: &Row) -> Result<Usage, &'static str> {
    let [_, _, sessions, maxconn, backup, rise, fall, cookie] = row;
    let or_none = |text: &str, problem| match text {
        "" => Ok(None),
        _ => digits(text).map(Some).ok_or(problem),
    };
    Ok(Usage {
        maxconn: or_none(maxconn, "has a wrong limit of connections")?.unwrap_or(0),
        backup: or_none(backup, "has a wrong number of backups")?.unwrap_or(0) > 0,
        cookie: Cookie::parse(cookie).ok(),
        rise_and_fall: or_none(rise, "has a wrong rise")?.zip(or_none(fall, "has a wrong fall")?),
        sessions: or_none(sessions, "has a wrong number of sessions")?.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_quotes_may_hold_commas_and_quotes() {
        let all = |mut text| {
            let mut fields = Vec::new();
            loop {
                let (field, rest) = field(text)?;
                fields.push(field);
                match rest {
                    Some(rest) => text = rest,
                    None => return Some(fields),
                }
            }
        };
        assert_eq!(all("a,,b,"), Some(vec!["a", "", "b", ""]));
        assert_eq!(all("\"a,b\",\"c\"\"d\"\"\",\"\""), Some(vec!["a,b", "c\"\"d\"\"", ""]));
        for broken in ["\"", "\"a", "\"a\"b", "\"a\"\"", "a,\"b\"\"\",\"\"\""] {
            assert_eq!(all(broken), None, "{broken}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let header = "# pxname,svname,scur,slim,bck,check_rise,check_fall,cookie,";
        let problem = |text: &str| {
            read(text, &mut (), |(), _, _| None).map_err(|error| (error.line(), error.to_string()))
        };
        assert_eq!(problem(&format!("{header}\nweb,a,0,0,0,,,,\n\n")), Ok(()));
        for (text, line) in [("", 1), ("pxname,svname", 1), ("# pxname,svname,scur", 1)] {
            assert_eq!(problem(text).unwrap_err().0, line, "{text}");
        }
        assert_eq!(problem(&format!("{header}\n\nweb,a,0\n")).unwrap_err().0, 3);
    }

    #[test]
    fn a_number_is_a_number() {
        let mut row = Row::default();
        assert_eq!(usage(&row), Ok(Usage::default()));
        for at in 2..7 {
            row[at] = "x".to_owned();
            assert!(usage(&row).is_err(), "{at}");
            row[at].clear();
        }
    }
}
