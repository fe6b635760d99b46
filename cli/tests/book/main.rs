//! The documents: every page of Markdown in this repository, held to what it says.
//!
//! A code block says by its language what it is, and each kind has a check; a block of no known kind is a failure, and so is a page that
//! is in no table of contents. What a block may say:
//!
//! | block | what is checked |
//! |---|---|
//! | `yaml`, `json` | a configuration, whole or a part that is completed ([`configuration`]), or what the next word calls it: `service` (a part of one), `endpoints`, `weights`, `settings`, `state`, `service-file`, `compose`, `iam`, `vscode`. Prometheus's are known by their keys |
//! | `haproxy` | a configuration of HAProxy's, by HAProxy |
//! | `sh`, and what is indented | commands ([`command`]): words of this program by its own command line, the others by a list |
//! | `console` | commands behind `$ `, and what they print: run, one after the other, page by page ([`console`]). In a comment, `<!-- console`, what a page needs and does not show |
//! | `rust` | `file=PATH`: a part of that file, which is compiled and run ([`excerpt`]) |
//! | `ini` | a drop-in of systemd |
//! | `javascript` | `polkit`: a rule |
//! | `text` | `diagram`: a picture |
//!
//! With `file=NAME` in a page that has `console` blocks, a block is a file of that name from there on.

mod block;
mod cargo;
mod command;
mod configuration;
mod console;
mod excerpt;
mod link;
mod metric;
mod page;
mod prometheus;
mod reference;
mod shell;
