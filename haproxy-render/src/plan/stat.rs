//! The statistics of servers, as comma separated values.

use std::borrow::Cow;

use super::Unreadable;
use super::columns::Columns;
use super::running::Usage;
use crate::name::Cookie;
use crate::number::digits;

const REPLY: &str = "show stat";

/// The columns that matter.
const NAMES: [&str; 8] = ["pxname", "svname", "scur", "slim", "bck", "check_rise", "check_fall", "cookie"];

/// The reply, line by line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// How many there were.
    number: usize,
    columns: Option<Columns<{ NAMES.len() }>>,
}

/// One line of the reply: the fields that matter, in the order of [`NAMES`].
#[derive(Debug)]
pub(crate) struct Row<'l> {
    fields: Fields<'l>,
    line: &'l str,
    number: usize,
}

type Fields<'l> = [Cow<'l, str>; NAMES.len()];

impl Lines {
    /// Takes the next line; `None` if it is not about a server.
    pub(crate) fn read<'l>(&mut self, line: &'l str) -> Result<Option<Row<'l>>, Unreadable> {
        self.number += 1;
        let number = self.number;
        let wrong = |problem| Unreadable::new(REPLY, number, problem, line);
        let Some(columns) = &self.columns else {
            let names = line.strip_prefix("# ").map(|names| names.split(','));
            self.columns = names.and_then(|names| Columns::find(names, NAMES));
            return if self.columns.is_some() { Ok(None) } else { Err(wrong("lacks a column")) };
        };
        if line.is_empty() {
            return Ok(None);
        }
        let fields = fields(line, columns).ok_or_else(|| wrong("lacks a field"))?;
        Ok(Some(Row { fields, line, number }))
    }

    /// The end of the reply.
    pub(crate) fn end(&self) -> Result<(), Unreadable> {
        if self.columns.is_some() {
            return Ok(());
        }
        Err(Unreadable::new(REPLY, 1, "lacks a column", ""))
    }
}

impl Row<'_> {
    pub(crate) fn backend(&self) -> &str {
        &self.fields[0]
    }

    pub(crate) fn server(&self) -> &str {
        &self.fields[1]
    }

    pub(crate) fn usage(&self) -> Result<Usage, Unreadable> {
        usage(&self.fields).map_err(|problem| self.wrong(problem))
    }

    pub(crate) fn wrong(&self, problem: &'static str) -> Unreadable {
        Unreadable::new(REPLY, self.number, problem, self.line)
    }
}

/// The fields of a line that matter; `None` if it has too few.
fn fields<'l>(line: &'l str, columns: &Columns<{ NAMES.len() }>) -> Option<Fields<'l>> {
    let mut fields = Fields::default();
    let mut left = NAMES.len();
    let mut rest = Some(line);
    let mut at = 0;
    while let Some(text) = rest.filter(|_| left > 0) {
        let (field, after) = field(text)?;
        if let Some(place) = columns.place(at) {
            fields[place] =
                if field.contains("\"\"") { field.replace("\"\"", "\"").into() } else { field.into() };
            left -= 1;
        }
        rest = after;
        at += 1;
    }
    (left == 0).then_some(fields)
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

fn usage(fields: &Fields<'_>) -> Result<Usage, &'static str> {
    let [_, _, sessions, maxconn, backup, rise, fall, cookie] = fields;
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
            let mut lines = Lines::default();
            let rows = text.lines().try_for_each(|line| lines.read(line).map(drop));
            rows.and_then(|()| lines.end()).map_err(|error| (error.line(), error.to_string()))
        };
        assert_eq!(problem(&format!("{header}\nweb,a,0,0,0,,,,\n\n")), Ok(()));
        for (text, line) in [("", 1), ("pxname,svname", 1), ("# pxname,svname,scur", 1)] {
            assert_eq!(problem(text).unwrap_err().0, line, "{text}");
        }
        assert_eq!(problem(&format!("{header}\n\nweb,a,0\n")).unwrap_err().0, 3);
    }

    #[test]
    fn a_number_is_a_number() {
        let mut fields = Fields::default();
        assert_eq!(usage(&fields), Ok(Usage::default()));
        for at in 2..7 {
            fields[at] = "x".into();
            assert!(usage(&fields).is_err(), "{at}");
            fields[at] = "".into();
        }
    }
}
