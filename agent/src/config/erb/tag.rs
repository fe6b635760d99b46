//! One tag, from `<%` to `%>`.

/// What every tag begins with.
pub(super) const OPEN: &str = "<%";
const CLOSE: &str = "%>";

/// What a tag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    /// `<%%`: the two characters themselves.
    Literal,
    Comment,
    Value(Wanted),
}

/// A variable that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) default: Option<String>,
    /// Whether it is a mistake that there is neither the variable nor a default.
    pub(super) required: bool,
}

const KNOWN: &str = "of ERB only `<%= ENV['NAME'] %>`, `<%= ENV.fetch('NAME') %>` and `<%= ENV.fetch('NAME', 'default') %>` are understood, and `<%%` for `<%`";

/// Reads the tag that `text` begins with, and tells how many bytes of it belong to it.
///
/// # Errors
///
/// What is wrong, and how much of `text` is to be skipped.
pub(super) fn read(text: &str) -> Result<(Tag, usize), (String, usize)> {
    if text[OPEN.len()..].starts_with('%') {
        return Ok((Tag::Literal, OPEN.len() + 1));
    }
    let Some(end) = close(text) else {
        return Err(("this tag has no end: `%>` is missing".to_owned(), text.len()));
    };
    let length = end + CLOSE.len();
    let body = &text[OPEN.len()..end];
    let body = body.strip_suffix('-').unwrap_or(body);
    if body.starts_with('#') {
        return Ok((Tag::Comment, length));
    }
    let wanted = body.strip_prefix('=').ok_or_else(|| KNOWN.to_owned()).and_then(expression);
    wanted.map(|wanted| (Tag::Value(wanted), length)).map_err(|message| (message, length))
}

/// Where the tag is closed; `%%>` does not close it.
fn close(text: &str) -> Option<usize> {
    let mut from = OPEN.len();
    loop {
        let at = from + text[from..].find(CLOSE)?;
        if at > OPEN.len() && text[..at].ends_with('%') {
            from = at + CLOSE.len();
        } else {
            return Some(at);
        }
    }
}

fn expression(text: &str) -> Result<Wanted, String> {
    let mut words = Words(text);
    let wanted = words.wanted()?.ok_or_else(|| KNOWN.to_owned())?;
    if wanted.name.is_empty() || wanted.name.contains(['=', '\0']) {
        return Err("no environment variable can have this name".to_owned());
    }
    Ok(wanted)
}

/// What is left of an expression.
struct Words<'t>(&'t str);

impl Words<'_> {
    /// The whole expression; `None`: it is none that is known.
    fn wanted(&mut self) -> Result<Option<Wanted>, String> {
        if !self.skip("ENV") {
            return Ok(None);
        }
        let wanted = if self.skip("[") {
            let Some(name) = self.string()? else { return Ok(None) };
            self.skip("]").then_some(Wanted { name, default: None, required: false })
        } else if self.skip(".") && self.skip("fetch") && self.skip("(") {
            let Some(name) = self.string()? else { return Ok(None) };
            let mut default = None;
            if self.skip(",") {
                default = self.default()?;
                if default.is_none() {
                    return Ok(None);
                }
            }
            self.skip(")").then_some(Wanted { name, default, required: true })
        } else {
            None
        };
        Ok(wanted.filter(|_| self.0.trim_ascii().is_empty()))
    }

    fn skip(&mut self, token: &str) -> bool {
        let rest = self.0.trim_ascii_start().strip_prefix(token);
        if let Some(rest) = rest {
            self.0 = rest;
        }
        rest.is_some()
    }

    /// A text, or a whole number.
    fn default(&mut self) -> Result<Option<String>, String> {
        if let Some(text) = self.string()? {
            return Ok(Some(text));
        }
        let rest = self.0.trim_ascii_start();
        let sign = usize::from(rest.starts_with('-'));
        let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = rest.split_at(sign + digits);
        if digits == 0 {
            return Ok(None);
        }
        self.0 = rest;
        Ok(Some(number.to_owned()))
    }

    /// A text in single or double quotes, as Ruby has it, but that nothing is put into it.
    fn string(&mut self) -> Result<Option<String>, String> {
        let rest = self.0.trim_ascii_start();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else { return Ok(None) };
        let mut text = String::new();
        let mut chars = rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    let next = chars.next().map(|(_, c)| c);
                    match (quote, next) {
                        (_, Some(c)) if c == quote || c == '\\' => text.push(c),
                        ('\'', Some(c)) => text.extend(['\\', c]),
                        (_, Some('n')) => text.push('\n'),
                        (_, Some('t')) => text.push('\t'),
                        _ => {
                            return Err(
                                "this escape is not understood: write the text in single quotes".to_owned()
                            );
                        }
                    }
                }
                '#' if quote == '"' && matches!(chars.peek(), Some((_, '{' | '$' | '@'))) => {
                    return Err(
                        "nothing can be put into a text by `#`: only environment variables are known"
                            .to_owned(),
                    );
                }
                c if c == quote => {
                    self.0 = &rest[at + 1..];
                    return Ok(Some(text));
                }
                c => text.push(c),
            }
        }
        Err("this text has no end: its quote is missing".to_owned())
    }
}
