//! Lines for a shell, taken apart as far as the documents need it.

/// The words of each command in `text`: those in `$(…)` are commands of their own, redirections and comments are left out.
pub(crate) fn commands(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut reader = Reader { rest: text, commands: Vec::new() };
    reader.read(None)?;
    Ok(reader.commands)
}

struct Reader<'a> {
    rest: &'a str,
    commands: Vec<Vec<String>>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    /// Reads up to `end`, or to the end of the text.
    fn read(&mut self, end: Option<char>) -> Result<(), String> {
        let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
        // The next word is where something goes to or comes from.
        let mut redirected = false;
        loop {
            let letter = self.next();
            let over =
                matches!(letter, None | Some(' ' | '\n' | ';' | '|' | '&' | '<' | '>')) || letter == end;
            if over && let Some(word) = word.take() {
                if redirected { redirected = false } else { words.push(word) }
            }
            match letter {
                None if end.is_some() => return Err("a `$(` has no end".to_owned()),
                None | Some('\n' | ';' | '|' | '&') => {
                    if !words.is_empty() {
                        self.commands.push(std::mem::take(&mut words));
                    }
                    if letter.is_none() {
                        return Ok(());
                    }
                }
                _ if letter == end => {
                    self.commands.extend(Some(words).filter(|words| !words.is_empty()));
                    return Ok(());
                }
                Some(' ') => {}
                Some('<' | '>') => {
                    // `2>&1`: the number was no word, and what follows is not one either.
                    if words.last().is_some_and(|word| word == "2") {
                        words.pop();
                    }
                    self.rest = self.rest.trim_start_matches(['<', '>', '&']);
                    redirected = true;
                }
                Some('#') if word.is_none() => {
                    let line = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[line..];
                }
                Some('\\') => match self.next() {
                    Some('\n') | None => {}
                    Some(letter) => word.get_or_insert_default().push(letter),
                },
                Some('\'') => {
                    let (inside, rest) = self.rest.split_once('\'').ok_or("a quote has no end")?;
                    self.rest = rest;
                    word.get_or_insert_default().push_str(inside);
                }
                Some('"') => {
                    let word = word.get_or_insert_default();
                    loop {
                        match self.next().ok_or("a quote has no end")? {
                            '"' => break,
                            '\\' => word.extend(self.next()),
                            '$' if self.rest.starts_with('(') => self.substitute(word)?,
                            letter => word.push(letter),
                        }
                    }
                }
                Some('$') if self.rest.starts_with('(') => self.substitute(word.get_or_insert_default())?,
                Some(letter) => word.get_or_insert_default().push(letter),
            }
        }
    }

    fn substitute(&mut self, word: &mut String) -> Result<(), String> {
        self.next();
        word.push_str("$()");
        self.read(Some(')'))
    }
}

#[test]
fn lines_become_commands() {
    let text = "a -c 'b c' # comment\nsudo d \"$(e f)\" | g && h \\\n  i > out 2>&1 &\nj \"it's\" x=1\n";
    let expected: [&[&str]; 6] =
        [&["a", "-c", "b c"], &["e", "f"], &["sudo", "d", "$()"], &["g"], &["h", "i"], &["j", "it's", "x=1"]];
    assert_eq!(commands(text).unwrap(), expected);
    commands("a 'b").unwrap_err();
}
