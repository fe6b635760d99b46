//! Talking to one process.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{
    address::SocketAddress,
    answer::Answers,
    batch::{Batch, KEEP_INFO},
    command_line::CommandLine,
    connection::connect,
    error::{Outcome, SocketError, SocketFault},
    judge::Judged,
    process::{Identity, Process, Revision},
    reply::Reply,
    session::{Progress, Session, Then},
};

/// How long and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For connecting. One second by default.
    pub connect: Duration,
    /// For a whole batch or question, connecting included. Five seconds by default.
    pub batch: Duration,
    /// For reading back, connecting included. Thirty seconds by default.
    pub read: Duration,
    /// How long a batch waits at a gate that says "later". One second by default.
    pub patience: Duration,
    /// Bytes kept of each reply to [`Socket::ask`]. 256 KiB by default.
    pub reply: usize,
    /// Bytes read over one connection. 512 MiB by default: `show stat` of 100,000 servers has less than 100 MB.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            batch: Duration::from_secs(5),
            read: Duration::from_secs(30),
            patience: Duration::from_secs(1),
            reply: 256 * 1024,
            bytes: 512 * 1024 * 1024,
        }
    }
}

/// The command line interface of a running HAProxy: a `stats socket`.
///
/// Each call makes a connection of its own and closes it. One that is kept open stays with the process that it was made
/// to, and holds that process in memory, when HAProxy is reloaded; HAProxy has ten of them in all by default.
///
/// ```no_run
/// use haproxy_runtime::{CommandLine, Expected, Order, Revision, Socket, SocketAddress};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Socket::new(SocketAddress::parse("/run/haproxy/admin.sock")?);
/// let process = socket.process().await?;
/// let drain = CommandLine::parse("set server web/web-1 weight 0")?;
/// let steps = [Order::new(drain, Expected::SILENT)];
/// let answers = socket.batch(process.identity, &steps, Some(&Revision::parse("r2")?)).await?;
/// for (index, reply, _) in answers.failures() {
///     println!("command {index} was refused: {}", reply.shown());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    address: SocketAddress,
    limits: Limits,
}

impl Socket {
    /// The socket at `address`, with the default [`Limits`].
    pub fn new(address: SocketAddress) -> Self {
        Self { address, limits: Limits::default() }
    }

    /// Sets how long and how much.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where it is.
    pub fn address(&self) -> &SocketAddress {
        &self.address
    }

    /// Asks who is there. A process that is ending is a fine answer.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; nothing was changed.
    pub async fn process(&self) -> Result<Process, SocketError> {
        let mut progress = Progress::default();
        let work = async {
            let mut session = self.open(&mut progress).await?;
            Process::read(&session.ask(&Process::QUERY, KEEP_INFO, Then::Quit).await?)
        };
        let result = within(self.limits.batch, work).await;
        self.told(result, self.limits.batch, &progress)
    }

    /// Sends `commands` together and returns a reply for each, in order, whatever it says. Whoever answers gets them: for
    /// changes there is [`Socket::batch`].
    ///
    /// # Errors
    /// Not all commands were answered within [`Limits::batch`]. The [`Outcome`] then is unknown if any was sent.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; commands that were sent may have been carried out.
    pub async fn ask(&self, commands: &[CommandLine]) -> Result<Vec<Reply>, SocketError> {
        let mut progress = Progress::default();
        let work = async {
            let mut session = self.open(&mut progress).await?;
            session.progress.changing = true;
            session.ask(commands, self.limits.reply, Then::Quit).await
        };
        let result = within(self.limits.batch, work).await;
        self.told(result, self.limits.batch, &progress)
    }

    /// Changes the process `target`, and only that one, by `steps`; then stamps it.
    ///
    /// 1. Who answers has to be `target`, not ending, and the socket of level admin. Otherwise nothing is sent.
    /// 2. The commands go out together, and each reply is judged. A refusal stops nothing, except at a gate
    ///    ([`Judged::is_gate`]): one that says "later" is asked again for [`Limits::patience`], and if it does not succeed
    ///    the commands after it are not sent.
    /// 3. If all have succeeded, the revision is set to `stamp`, which says that the process now runs that.
    /// 4. The process is asked again. If it is ending, everything went to the wrong one.
    ///
    /// What it can not see: a successor that has read its configuration before the change was written to it, and has not
    /// yet told this process to end. Its revision tells, so ask for it some time later.
    ///
    /// # Errors
    /// Something of this did not work out within [`Limits::batch`]; see [`SocketError::outcome`]. A command that is refused
    /// is no error, but an answer.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; commands that were sent may have been carried out.
    pub async fn batch<J: Judged>(
        &self,
        target: Identity,
        steps: &[J],
        stamp: Option<&Revision>,
    ) -> Result<Answers, SocketError> {
        self.batch_on(target, None, steps, stamp).await
    }

    /// As [`batch`](Self::batch), if `target` says that it runs `runs`; `None`: whatever it runs. Otherwise nothing is sent.
    pub(crate) async fn batch_on<J: Judged>(
        &self,
        target: Identity,
        runs: Option<&Revision>,
        steps: &[J],
        stamp: Option<&Revision>,
    ) -> Result<Answers, SocketError> {
        let started = Instant::now();
        let batch = Batch { target, runs, steps, stamp, patience: self.limits.patience };
        let mut progress = Progress::default();
        let work = async {
            batch.check()?;
            let mut session = self.open(&mut progress).await?;
            batch.carry_out(&mut session).await
        };
        let result = within(self.limits.batch, work).await;
        let done = self.told(result, self.limits.batch, &progress)?;
        let unsent = steps.len() - done.replies.len();
        let took = started.elapsed();
        Ok(Answers { process: done.process, replies: done.replies, unsent, stamped: done.stamped, took })
    }

    /// Reads the replies to `commands` line by line, without keeping them: `each` gets the index of the command and the
    /// line, blank ones left out. Bytes that are not UTF-8 are replaced by U+FFFD.
    ///
    /// Returns whose replies they were, as it was before the first of them.
    ///
    /// # Errors
    /// Not everything was read within [`Limits::read`], or the process was ending when it had answered. What `each` got
    /// before that is not to be used.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; nothing was changed, if the commands change nothing.
    pub async fn read(
        &self,
        commands: &[CommandLine],
        mut each: impl FnMut(usize, &str),
    ) -> Result<Process, SocketError> {
        let mut progress = Progress::default();
        let work = async {
            let mut session = self.open(&mut progress).await?;
            let query = Process::QUERY;
            let first = query.len();
            let mut asked = vec![Reply::default(); first];
            let mut info = Reply::default();
            let last = CommandLine::info();
            let all: Vec<_> = query.iter().chain(commands).chain([&last]).map(CommandLine::as_str).collect();
            let closing = all.len() - 1;
            session
                .exchange(all.into_iter(), Then::Quit, |index, line| match asked.get_mut(index) {
                    Some(reply) => reply.push(line, KEEP_INFO),
                    None if index == closing => info.push(line, KEEP_INFO),
                    None if line.is_empty() => {}
                    None => each(index - first, line),
                })
                .await?;
            asked.iter_mut().for_each(Reply::finish);
            let process = Process::read(&asked)?;
            if process.stopping || Process::is_stopping(&info) {
                return Err(SocketFault::Stopping { process: process.identity });
            }
            Ok(process)
        };
        let result = within(self.limits.read, work).await;
        self.told(result, self.limits.read, &progress)
    }

    async fn open<'a>(&self, progress: &'a mut Progress) -> Result<Session<'a>, SocketFault> {
        let stream = connect(&self.address, self.limits.connect.min(self.limits.batch)).await?;
        Ok(Session::new(stream, self.limits.bytes, progress))
    }

    /// Says what a fault, or a deadline (`None`), means.
    fn told<T>(
        &self,
        result: Option<Result<T, SocketFault>>,
        deadline: Duration,
        progress: &Progress,
    ) -> Result<T, SocketError> {
        let fault = match result {
            Some(Ok(value)) => return Ok(value),
            Some(Err(fault)) => fault,
            None if !progress.heard => SocketFault::Silent { deadline },
            None => SocketFault::Deadline { deadline, answered: progress.answered, sent: progress.sent },
        };
        let outcome = match fault {
            _ if !progress.changing => Outcome::Nothing,
            SocketFault::Stopping { .. } => Outcome::Lost,
            _ => Outcome::Unknown,
        };
        Err(SocketError::new(self.address.clone(), fault, outcome))
    }
}

/// `None` at the deadline.
async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, SocketFault>>,
) -> Option<Result<T, SocketFault>> {
    timeout(deadline, work).await.ok()
}
