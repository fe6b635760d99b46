//! What the planner of `haproxy-render` wants, as a batch takes it.

use haproxy_render::plan;

use super::{
    judge::{Judged, Verdict},
    process::Revision,
    reply::Reply,
};

/// A server that this process will never delete ([`Pinned`](plan::Verdict::Pinned)) is a refusal here: ask the step itself
/// where the difference matters.
impl Judged for plan::Step {
    fn command(&self) -> &str {
        Self::command(self)
    }

    fn judge(&self, reply: &Reply) -> Verdict {
        // The end decides, and it is not there.
        if reply.is_cut() {
            return Verdict::Unknown;
        }
        match Self::judge(self, reply.text()) {
            plan::Verdict::Done => Verdict::Success,
            plan::Verdict::Busy => Verdict::Later,
            plan::Verdict::Pinned | plan::Verdict::Refused => Verdict::Refused,
        }
    }

    fn is_gate(&self) -> bool {
        Self::is_gate(self)
    }
}

impl From<plan::Revision> for Revision {
    fn from(revision: plan::Revision) -> Self {
        Self::new(revision.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::command_line::CommandLine;

    #[test]
    fn a_step_of_a_plan_is_judged_by_itself() {
        let revision = plan::Revision::parse("0123456789abcdef").unwrap();
        let step = plan::Step::stamp(revision);
        assert_eq!(Judged::command(&step), Revision::from(revision).stamp());
        assert!(CommandLine::parse(Judged::command(&step)).is_ok());
        assert_eq!(Judged::judge(&step, &Reply::new("\n")), Verdict::Success);
        assert_eq!(Judged::judge(&step, &Reply::new("Permission denied\n")), Verdict::Refused);
        assert!(!Judged::is_gate(&step));
        let mut cut = Reply::default();
        cut.push("Permission denied", 3);
        assert_eq!(Judged::judge(&step, &cut), Verdict::Unknown);
    }

    #[test]
    fn a_revision_of_a_plan_is_a_revision() {
        let text = "0123456789abcdef";
        let revision = Revision::from(plan::Revision::parse(text).unwrap());
        assert_eq!(revision, Revision::parse(text).unwrap());
    }
}
