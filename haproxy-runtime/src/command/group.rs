//! A process group, killed as one.

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;

/// The group that a child leads; killed when dropped, unless released.
///
/// Its number belongs to the group for as long as the leader has not been waited for: release it right after.
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn led_by(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The leader has been waited for: from here on the number may be somebody else's.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether the leader has ended, without taking its status: the number stays the group's.
    pub(super) fn leader_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.0.is_none_or(|leader| !matches!(waitid(WaitId::Pid(leader), options), Ok(None)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(?group, ?signal, %error, "signalling a command's processes");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
