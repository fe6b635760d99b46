//! A child process with a deadline.

mod group;
mod output;

use std::{
    ffi::OsStr,
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    net::unix::pipe::Receiver,
    process::Child,
    time::{Instant, sleep, timeout},
};

use self::{group::Group, output::Capture};
use crate::error::{CommandError, InvalidCommand};

pub use self::output::Output;
pub(crate) use self::output::log_lines;

/// What processes get between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// The most that a pipe can hold on Linux without privileges: what an ended command has left there is never more.
const PIPE_MAX: usize = 1024 * 1024;

/// A command to run: through the shell, as Synapse does, or word by word, where nothing needs quoting.
///
/// It inherits the environment and the working directory, reads nothing, and gets a process group of its own. A process
/// that it leaves behind (a daemon) lives on when the command succeeds or fails by itself, but has to redirect its
/// output: what it inherits is closed when the command ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    /// Runs `text` through `/bin/sh -c`.
    ///
    /// # Errors
    /// Nothing but blanks, or a NUL byte.
    pub fn shell(text: impl Into<String>) -> Result<Self, InvalidCommand> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(InvalidCommand::Empty);
        }
        Self::argv(["/bin/sh".to_owned(), "-c".to_owned(), text])
    }

    /// Runs the program named by the first word, looked up in `PATH`, with the other words as its arguments.
    ///
    /// # Errors
    /// No words or an empty first one, or a NUL byte in any.
    pub fn argv<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Result<Self, InvalidCommand> {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().filter(|word| !word.trim().is_empty()).ok_or(InvalidCommand::Empty)?;
        let arguments: Vec<String> = words.collect();
        if program.contains('\0') || arguments.iter().any(|word| word.contains('\0')) {
            return Err(InvalidCommand::Nul);
        }
        Ok(Self { program, arguments })
    }

    /// The program and its arguments; for one that runs through the shell, `/bin/sh`, `-c` and the text.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        [&self.program].into_iter().chain(&self.arguments).map(String::as_str)
    }

    /// Runs the command to its end, at most for `deadline`.
    ///
    /// Returns as soon as the process itself has ended, even when one that it left behind still holds its output open.
    /// At the deadline the whole process group gets SIGTERM, half a second later SIGKILL.
    ///
    /// # Errors
    /// It can't be started, ends with anything but 0, or outlives the deadline.
    ///
    /// # Cancel safety
    /// Dropping the future kills the process group (SIGKILL, as nobody is left to wait).
    pub async fn run(&self, deadline: Duration) -> Result<Output, CommandError> {
        self.run_with(deadline, &[]).await
    }

    /// As [`Command::run`], with `variables` added to the environment.
    pub(crate) async fn run_with(
        &self,
        deadline: Duration,
        variables: &[(&str, &OsStr)],
    ) -> Result<Output, CommandError> {
        let started = Instant::now();
        // One pipe for both streams: what was printed stays in order.
        let (reader, writer) = io::pipe().map_err(CommandError::Start)?;
        let mut printed = Printed::new(reader).map_err(CommandError::Start)?;
        let mut child = self.start(variables, writer).map_err(CommandError::Start)?;
        // Declared after `child`, so dropped before it: the group is signalled while its number is surely its own.
        let mut group = Group::led_by(&child);

        let ended = timeout(deadline, finish(&mut child, &mut printed)).await;
        match ended {
            Ok(Ok(status)) => {
                group.release();
                printed.drain();
                let output = printed.into_output(started.elapsed());
                if status.success() { Ok(output) } else { Err(CommandError::Failed { status, output }) }
            }
            Ok(Err(error)) => Err(CommandError::Wait(error)),
            Err(_elapsed) => {
                group.terminate();
                let _ = timeout(GRACE, wind_down(&group, &mut printed)).await;
                group.kill();
                // Bounded, for a process stuck in the kernel ignores even SIGKILL; the runtime reaps it when it ends.
                let _ = timeout(GRACE, child.wait()).await;
                group.release();
                printed.drain();
                Err(CommandError::Deadline { deadline, output: printed.into_output(started.elapsed()) })
            }
        }
    }

    /// The writing end is closed here with the return: only the child's own keep the pipe open.
    fn start(&self, variables: &[(&str, &OsStr)], writer: io::PipeWriter) -> io::Result<Child> {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        command.process_group(0).spawn()
    }
}

/// Waits for the child's end and takes what it prints meanwhile.
async fn finish(child: &mut Child, printed: &mut Printed) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = printed.more(), if printed.open => {}
        }
    }
}

/// Waits until a terminated group is gone, as far as can be seen: its leader has ended and nobody holds the output.
async fn wind_down(group: &Group, printed: &mut Printed) {
    while printed.open || !group.leader_ended() {
        tokio::select! {
            () = printed.more(), if printed.open => {}
            () = sleep(Duration::from_millis(5)) => {}
        }
    }
}

/// The reading end of what a command prints.
struct Printed {
    pipe: Receiver,
    chunk: Vec<u8>,
    capture: Capture,
    open: bool,
}

impl Printed {
    fn new(reader: io::PipeReader) -> io::Result<Self> {
        let pipe = Receiver::from_owned_fd(reader.into())?;
        Ok(Self { pipe, chunk: vec![0; 8192], capture: Capture::default(), open: true })
    }

    /// Waits for the next piece. Dropping the future loses nothing.
    async fn more(&mut self) {
        match self.pipe.read(&mut self.chunk).await {
            Ok(0) | Err(_) => self.open = false,
            Ok(count) => self.capture.push(&self.chunk[..count]),
        }
    }

    /// Takes what lies in the pipe and waits for nothing: an ended command has put everything there, and whoever it left
    /// behind may hold the pipe for years. Asks the system, as the runtime may not have heard of the last piece yet.
    fn drain(&mut self) {
        let mut left = PIPE_MAX;
        while self.open && left > 0 {
            match rustix::io::read(&self.pipe, &mut self.chunk[..]) {
                Ok(0) => self.open = false,
                Ok(count) => {
                    self.capture.push(&self.chunk[..count]);
                    left = left.saturating_sub(count);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn into_output(self, took: Duration) -> Output {
        self.capture.finish(took)
    }
}
