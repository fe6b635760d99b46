//! HAProxy's command line interface: what a running process is told and asked.

mod address;
mod answer;
mod batch;
mod client;
mod command_line;
mod connection;
mod error;
mod judge;
mod list;
mod master;
mod planned;
mod process;
mod process_list;
mod reply;
mod session;
mod verify;

pub use self::{
    address::{InvalidAddress, SocketAddress},
    answer::Answers,
    client::{Limits, Socket},
    command_line::{CommandLine, InvalidCommandLine},
    error::{Outcome, SocketError, SocketFault},
    judge::{Expected, Judged, Order, Pattern, Verdict},
    list::{Sockets, Survey},
    master::{Master, MasterError, MasterFault, MasterReload},
    process::{Identity, InvalidRevision, Level, Process, Revision},
    process_list::{Processes, Worker},
    reply::Reply,
    verify::{Seen, Unverified, Verified, verify},
};
