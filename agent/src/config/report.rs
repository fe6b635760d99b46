use std::{fmt, sync::Arc};

use super::parse::SyntaxError;

/// Where in the tree: the keys and indices that lead from the root to a value.
///
/// `Display` joins them as people write them: `services.web.default_servers[1].port`. A key that holds anything
/// but letters, digits, `_` and `-` is quoted and escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<Step>);

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl KeyPath {
    /// The path of the whole document: empty.
    pub fn root() -> Self {
        Self::default()
    }

    /// This path, then `key`.
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.then([Step::Key(key.into())])
    }

    /// This path, then the list element `index`, from 0.
    pub fn index(&self, index: usize) -> Self {
        self.then([Step::Index(index)])
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    pub(super) fn then(&self, steps: impl IntoIterator<Item = Step>) -> Self {
        Self(self.0.iter().cloned().chain(steps).collect())
    }

    /// Whether a value here may be a secret: one of the two innermost keys looks like the name of one.
    ///
    /// Two, so that `tokens: {web: …}` counts; not all, so that a service called `token` can be debugged.
    pub(super) fn looks_secret(&self) -> bool {
        let keys = self.0.iter().rev().filter_map(|step| match step {
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        });
        keys.take(2).any(|key| {
            let key = key.to_ascii_lowercase();
            ["passw", "passphrase", "secret", "token", "credential"].iter().any(|word| key.contains(word))
                || key
                    .split(['_', '-', '.', ' '])
                    .any(|word| matches!(word, "key" | "keys" | "pass" | "auth"))
                || key.ends_with("apikey")
        })
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
                    if !key.is_empty() && key.chars().count() <= SHOWN && key.chars().all(plain) {
                        f.write_str(key)?;
                    } else {
                        f.write_str(&quoted(key))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Longest text shown in full; people's service and key names fit.
const SHOWN: usize = 60;

/// `text` in double quotes, escaped, cut after some characters: safe for a terminal and for one line of a log.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// One thing to tell the author of a configuration: an error, or a warning where the receiver says so.
///
/// `Display` is `LINE:COLUMN: PATH: MESSAGE`, without the path where that is empty. Ordered by file and position.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Problem {
    /// The file it is in, as messages call it, where that is not the one that the [`Report`] is about: one of a configuration in
    /// several files.
    pub file: Option<Arc<str>>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Key path as a [`KeyPath`] prints it; empty for the document as a whole.
    pub path: String,
    /// What is wrong: lower case, no full stop, never a secret.
    pub message: String,
}

impl Problem {
    /// A problem at a position.
    pub fn new(line: u32, column: u32, path: &KeyPath, message: impl Into<String>) -> Self {
        Self { file: None, line, column, path: path.to_string(), message: message.into() }
    }

    /// The same in a file of this name.
    pub(super) fn in_file(self, name: &str) -> Self {
        Self { file: Some(name.into()), ..self }
    }
}

impl From<SyntaxError> for Problem {
    fn from(error: SyntaxError) -> Self {
        Self::new(error.line, error.column, &KeyPath::root(), error.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All that is wrong with one configuration, as one error.
///
/// ```text
/// synapse.conf.json: 2 problems
///   synapse.conf.json:4:6: services.s1.discovery.tag_nme: unknown key; did you mean `tag_name`?
///   synapse.conf.json:9:9: services.s3: missing key `discovery`
/// ```
///
/// `Display` ends without a line feed. Without a file name the first line is `2 problems` and the others begin
/// with the line number. What is wrong in further files of the configuration follows, under their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: Option<String>,
    problems: Vec<Problem>,
}

impl Report {
    /// Sorts the problems by position and drops the ones that say the same.
    pub fn new(file: Option<String>, mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { file, problems }
    }

    /// The file as the user named it; `None` for text that came from elsewhere.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The problems in the order of the file, then those of further files.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Each problem on a line of its own, behind the name of its file.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|problem| match problem.file.as_deref().or(self.file()) {
            Some(file) => format!("{file}:{problem}"),
            None => problem.to_string(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        match self.problems.len() {
            1 => f.write_str("1 problem")?,
            count => write!(f, "{count} problems")?,
        }
        self.lines().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u32, column: u32, path: &KeyPath, message: &str) -> Problem {
        Problem::new(line, column, path, message)
    }

    #[test]
    fn a_path_reads_as_people_write_it() {
        let path = KeyPath::root().key("services").key("web").key("default_servers").index(1).key("port");
        assert_eq!(path.to_string(), "services.web.default_servers[1].port");
        assert_eq!(KeyPath::root().index(0).key("a").to_string(), "[0].a");
        assert_eq!(KeyPath::root().to_string(), "");
    }

    #[test]
    fn an_odd_key_is_quoted_so_that_the_path_stays_one_line() {
        let path =
            KeyPath::root().key("extra_sections").key("listen stats :1937").key("a.b").key("x\n\u{1b}[31m");
        assert_eq!(path.to_string(), r#"extra_sections."listen stats :1937"."a.b"."x\n\u{1b}[31m""#);
        assert_eq!(KeyPath::root().key("").to_string(), "\"\"");
        let long = KeyPath::root().key("k".repeat(1000)).to_string();
        assert_eq!(long, format!("\"{}…\"", "k".repeat(60)));
    }

    #[test]
    fn the_names_of_secrets_are_known() {
        for key in
            ["password", "aws_secret_access_key", "auth_token", "Passphrase", "key", "api-key", "apikey"]
        {
            assert!(KeyPath::root().key("etcd").key(key).looks_secret(), "{key}");
            assert!(KeyPath::root().key(key).index(3).looks_secret(), "{key}");
            assert!(KeyPath::root().key(key).key("inner").looks_secret(), "{key}");
        }
        for key in ["port", "keyboard", "monkey", "path", "tag_name"] {
            assert!(!KeyPath::root().key("etcd").key(key).looks_secret(), "{key}");
        }
        assert!(!KeyPath::root().key("services").key("token").key("haproxy").key("port").looks_secret());
    }

    #[test]
    fn a_report_lists_every_problem_in_the_order_of_the_file() {
        let services = KeyPath::root().key("services");
        let report = Report::new(
            Some("synapse.conf.json".to_owned()),
            vec![
                problem(9, 3, &services.key("s3"), "missing key `discovery`"),
                problem(4, 6, &services.key("s1").key("tag_nme"), "unknown key; did you mean `tag_name`?"),
                problem(9, 3, &services.key("s3"), "missing key `discovery`"),
            ],
        );
        assert_eq!(
            report.to_string(),
            "synapse.conf.json: 2 problems\n  \
             synapse.conf.json:4:6: services.s1.tag_nme: unknown key; did you mean `tag_name`?\n  \
             synapse.conf.json:9:3: services.s3: missing key `discovery`"
        );
    }

    #[test]
    fn one_problem_is_singular_and_a_report_without_a_file_names_none() {
        let one = vec![problem(1, 2, &KeyPath::root(), "the document is empty")];
        assert_eq!(Report::new(None, one).to_string(), "1 problem\n  1:2: the document is empty");
    }

    #[test]
    fn quoting_cuts_by_characters_not_bytes() {
        assert_eq!(quoted(&"é".repeat(61)), format!("\"{}…\"", "é".repeat(60)));
        assert_eq!(quoted("a\"b\\"), r#""a\"b\\""#);
    }
}
