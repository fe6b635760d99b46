//! Commands and replies on one connection.
//!
//! HAProxy's replies have no length and, on their own, no reliable end: up to version 2.8 an error ends with one line
//! feed, a success with two, and silence is one. In prompt mode each reply is followed by a line that starts with `> `,
//! on every version, if each line has one command only.

use std::{io, mem};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::{command_line::CommandLine, connection::Stream, error::SocketFault, reply::Reply};

/// What comes first. A `stats socket` line may ask for levels in words before each reply (`severity-output`), which are of
/// no use: an unknown command counts as information.
const GREETING: &str = "prompt\nset severity-output none\n";
/// What is read from the system at once.
const CHUNK: usize = 32 * 1024;
/// The longest line of a reply: a server in `show stat` has less than a thousand bytes, its cookie included.
const MAX_LINE: usize = 64 * 1024;
/// How a line starts that asks for the next command.
const PROMPT: &[u8] = b"> ";

/// How far the talk has come: still readable when it was cut off.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether anything at all was heard.
    pub heard: bool,
    /// Commands sent together last.
    pub sent: usize,
    /// How many of them were answered.
    pub answered: usize,
    /// Whether commands that change something may have been sent.
    pub changing: bool,
}

/// Whether more will be sent after these commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Yes.
    More,
    /// No: HAProxy is to close the connection, and whatever it says beyond the replies is garbage.
    Quit,
}

/// A connection in prompt mode.
pub(super) struct Session<'a> {
    lines: Lines,
    writer: WriteHalf<Box<dyn Stream>>,
    /// Whether prompt mode was asked for.
    greeted: bool,
    pub progress: &'a mut Progress,
}

impl<'a> Session<'a> {
    /// A talk over `stream`, of which at most `limit` bytes are read.
    pub(super) fn new(stream: Box<dyn Stream>, limit: u64, progress: &'a mut Progress) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { lines: Lines::new(reader, limit), writer, greeted: false, progress }
    }

    /// Sends `commands` together and collects the replies, of each at most `keep` bytes.
    pub(super) async fn ask(
        &mut self,
        commands: &[CommandLine],
        keep: usize,
        then: Then,
    ) -> Result<Vec<Reply>, SocketFault> {
        let mut replies = vec![Reply::default(); commands.len()];
        self.exchange(commands.iter().map(CommandLine::as_str), then, |command, line| {
            if let Some(reply) = replies.get_mut(command) {
                reply.push(line, keep);
            }
        })
        .await?;
        replies.iter_mut().for_each(Reply::finish);
        Ok(replies)
    }

    /// Sends `commands` together and hands each line of a reply, with the index of its command, to `each`.
    pub(super) async fn exchange<'c>(
        &mut self,
        commands: impl ExactSizeIterator<Item = &'c str>,
        then: Then,
        mut each: impl FnMut(usize, &str),
    ) -> Result<(), SocketFault> {
        let sent = commands.len();
        *self.progress = Progress { sent, answered: 0, ..*self.progress };
        let mut text = String::new();
        let greeting = !mem::replace(&mut self.greeted, true);
        if greeting {
            text.push_str(GREETING);
        }
        for command in commands {
            text.push_str(command);
            text.push('\n');
        }
        if then == Then::Quit {
            text.push_str("quit\n");
        }

        let Self { lines, writer, progress, .. } = self;
        let write = async {
            writer.write_all(text.as_bytes()).await?;
            writer.flush().await
        };
        let read = async {
            if greeting {
                lines.greeting(progress).await?;
            }
            while progress.answered < sent {
                match lines.next(progress).await? {
                    Piece::Line(line) => each(progress.answered, &String::from_utf8_lossy(line)),
                    Piece::Prompt => progress.answered += 1,
                }
            }
            if then == Then::Quit { lines.end(progress).await } else { Ok(()) }
        };
        tokio::pin!(write, read);
        // Together: HAProxy stops reading while nobody takes its replies.
        let mut writing = true;
        loop {
            tokio::select! {
                result = &mut read => return result,
                // An error shows in the reading too, after what HAProxy may have said before it closed.
                _ = &mut write, if writing => writing = false,
            }
        }
    }
}

/// A piece of what HAProxy says.
enum Piece<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// The start of a line that asks for the next command.
    Prompt,
}

/// The reading side.
struct Lines {
    reader: ReadHalf<Box<dyn Stream>>,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line starts.
    at: usize,
    /// How many more bytes are read.
    left: u64,
    limit: u64,
}

impl Lines {
    fn new(reader: ReadHalf<Box<dyn Stream>>, limit: u64) -> Self {
        Self { reader, buffer: Vec::new(), at: 0, left: limit, limit }
    }

    /// The answers to [`GREETING`]: nothing but two prompts.
    async fn greeting(&mut self, progress: &mut Progress) -> Result<(), SocketFault> {
        let mut prompts = 0;
        while prompts < 2 {
            match self.next(progress).await? {
                Piece::Line([]) => {}
                Piece::Line(line) if line.starts_with(b"master") => return Err(SocketFault::Master),
                Piece::Line(line) => return Err(SocketFault::garbage(&String::from_utf8_lossy(line))),
                Piece::Prompt => prompts += 1,
            }
        }
        Ok(())
    }

    /// The end of the connection, and nothing before it.
    async fn end(&mut self, progress: &mut Progress) -> Result<(), SocketFault> {
        if self.buffer.len() > self.at || self.fill(progress).await? {
            let rest = String::from_utf8_lossy(&self.buffer[self.at..]);
            return Err(SocketFault::Garbage { excerpt: super::reply::shown(&rest) });
        }
        Ok(())
    }

    /// Waits for the next piece.
    async fn next(&mut self, progress: &mut Progress) -> Result<Piece<'_>, SocketFault> {
        let mut scanned = 0;
        loop {
            let pending = &self.buffer[self.at..];
            if pending.starts_with(PROMPT) {
                self.at += PROMPT.len();
                return Ok(Piece::Prompt);
            }
            if let Some(end) = pending[scanned..].iter().position(|byte| *byte == b'\n') {
                let line = self.at..self.at + scanned + end;
                self.at = line.end + 1;
                return Ok(Piece::Line(&self.buffer[line]));
            }
            scanned = pending.len();
            if scanned > MAX_LINE {
                return Err(SocketFault::garbage(&String::from_utf8_lossy(pending)));
            }
            if !self.fill(progress).await? {
                return Err(closed(progress, None));
            }
        }
    }

    /// Reads on; `false` at the end of the connection.
    async fn fill(&mut self, progress: &mut Progress) -> Result<bool, SocketFault> {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.reserve(CHUNK);
        match self.reader.read_buf(&mut self.buffer).await {
            Ok(0) => Ok(false),
            Ok(count) => {
                progress.heard = true;
                self.left = match self.left.checked_sub(count as u64) {
                    Some(left) => left,
                    None => return Err(SocketFault::TooMuch { limit: self.limit }),
                };
                Ok(true)
            }
            // HAProxy closes so, too, when something that it did not read yet is left.
            Err(error) if progress.answered == progress.sent && is_reset(&error) => Ok(false),
            Err(error) => Err(closed(progress, Some(error))),
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn closed(progress: &Progress, source: Option<io::Error>) -> SocketFault {
    SocketFault::Closed { answered: progress.answered, sent: progress.sent, source }
}

#[cfg(test)]
mod tests;
