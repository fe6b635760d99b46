//! `%{host}` and its kind in `server_options`.

use std::fmt::Write as _;

use thiserror::Error;

/// A text with places for an endpoint's host, port and name, in the form of Ruby's `format` that Synapse uses: `%{host}`,
/// `%<port>s`, and `%%` for one `%`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Port,
    Name,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum InvalidTemplate {
    #[error("a `%` stands alone: write `%%` for a percent sign")]
    Lone,
    #[error("`%{{{0}}}` is not known: known are `%{{host}}`, `%{{port}}` and `%{{name}}`")]
    Unknown(String),
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            push(&mut pieces, before);
            rest = if let Some(after) = after.strip_prefix('%') {
                push(&mut pieces, "%");
                after
            } else {
                let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
                let angled = after.strip_prefix('<').and_then(|inner| inner.split_once(">s"));
                let (key, after) = braced.or(angled).ok_or(InvalidTemplate::Lone)?;
                pieces.push(match key {
                    "host" => Piece::Host,
                    "port" => Piece::Port,
                    "name" => Piece::Name,
                    other => return Err(InvalidTemplate::Unknown(other.chars().take(40).collect())),
                });
                after
            };
        }
        push(&mut pieces, rest);
        Ok(Self(pieces))
    }

    /// The text for one endpoint.
    pub(crate) fn fill(&self, host: &str, port: u16, name: &str) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Host => filled.push_str(host),
                Piece::Port => write!(filled, "{port}").expect("writing to a String cannot fail"),
                Piece::Name => filled.push_str(name),
            }
        }
        filled
    }

    /// Whether the name of an endpoint is part of it.
    pub(crate) fn needs_name(&self) -> bool {
        self.0.contains(&Piece::Name)
    }

    /// The text, if it is the same for every endpoint.
    pub(crate) fn constant(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_place_are_filled() {
        let template = Template::parse("check addr %{host} port %<port>s # %{name} 100%%").unwrap();
        assert_eq!(template.fill("h", 80, "n"), "check addr h port 80 # n 100%");
        assert_eq!(template.constant(), None);
    }

    #[test]
    fn a_text_without_places_is_constant() {
        assert_eq!(Template::parse("check 5%%").unwrap().constant(), Some("check 5%"));
        assert_eq!(Template::parse("").unwrap().constant(), Some(""));
    }

    #[test]
    fn what_ruby_would_raise_on_is_an_error_now() {
        for lone in ["50%", "% x", "%{host", "%<host>"] {
            assert_eq!(Template::parse(lone), Err(InvalidTemplate::Lone), "{lone}");
        }
        assert_eq!(Template::parse("%{hots}"), Err(InvalidTemplate::Unknown("hots".into())));
    }
}
