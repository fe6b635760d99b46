//! Reading a file, as a whole or to compare it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::{text::Text, write::options};

/// The most that is read of a file: to understand it, or to put it back.
pub(super) const RESTORABLE: u64 = 256 * 1024 * 1024;
/// How much of a file is compared at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// Whether a file has exactly this text. Reads no further than the first difference, and never holds the whole of it: it may
/// be as large as the configuration of 100,000 servers.
pub(super) fn holds(mut file: File, text: &Text) -> io::Result<bool> {
    let mut buffer = vec![0; PIECE];
    let mut pieces = text.pieces();
    let mut wanted: &[u8] = &[];
    loop {
        let mut read = match file.read(&mut buffer) {
            Ok(read) => &buffer[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // The end of both, or of the file alone.
        if read.is_empty() {
            return Ok(wanted.is_empty() && pieces.next().is_none());
        }
        while !read.is_empty() {
            if wanted.is_empty() {
                match pieces.next() {
                    Some(piece) => wanted = piece,
                    None => return Ok(false),
                }
            }
            let both = read.len().min(wanted.len());
            if read[..both] != wanted[..both] {
                return Ok(false);
            }
            (read, wanted) = (&read[both..], &wanted[both..]);
        }
    }
}

/// The text of a file, never in one piece, which would be as large as the file; `None` when there is none.
pub(super) fn read_text(path: &Path) -> io::Result<Option<Text>> {
    let mut file = match options().read(true).write(false).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(Some(Text::of(pieces)));
        }
        bytes += piece.len() as u64;
        if bytes > RESTORABLE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        pieces.push(piece.into());
    }
}

/// The text of a file; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match options().read(true).write(false).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(RESTORABLE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > RESTORABLE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(Some(text)) }
}
