//! Seeing out the servers that leave.

use std::sync::Arc;

use haproxy_render::plan::{self, Drain, Step};
use tokio::time::Instant;

use super::{Live, deed::Tended};

/// The most commands of this kind at once.
const AT_ONCE: usize = 1_000;

impl Live {
    /// When [`tend`](Self::tend) has something to do next; `None`: no server is leaving.
    pub fn due(&self) -> Option<Instant> {
        self.known.as_ref().and_then(|_| self.departures.due())
    }

    /// Deletes the servers that have left and have no connections any more, and ends the connections of those that have had
    /// their time. Does nothing before [`due`](Self::due), and never waits for a connection to end.
    ///
    /// What can't be done now is due again later, at growing intervals of up to a second.
    ///
    /// # Cancel safety
    /// Dropping the future forgets nothing: a server that was deleted meanwhile is found to be.
    pub async fn tend(&mut self) -> Tended {
        let mut tended = Tended::default();
        let now = Instant::now();
        let Some(known) = &mut self.known else { return tended };
        let mut due = self.departures.ask(&known.leaving, self.drain_timeout, now);
        due.truncate(AT_ONCE);
        if due.is_empty() {
            return tended;
        }
        let steps: Vec<Step> = due.iter().map(|(departure, drain)| departure.step(*drain)).collect();
        let answers =
            match known.socket.batch_on(known.identity, known.revision().as_ref(), &steps, None).await {
                Ok(answers) => answers,
                Err(error) => {
                    tracing::debug!(
                        error = error.fault() as &dyn std::error::Error,
                        "deleting servers; again later"
                    );
                    self.departures.postpone(Instant::now());
                    if error.fault().is_about_another() {
                        // Who has taken its place never had them, if it runs the file.
                        if let Some(known) = self.known.take() {
                            let document = Arc::clone(&known.document);
                            self.known = self.follow(known, &document).await.ok().flatten();
                        }
                    }
                    return tended;
                }
            };
        let now = Instant::now();
        for (((departure, drain), step), (reply, _)) in due.iter().zip(&steps).zip(&answers.replies) {
            let name = || format!("{}/{}", departure.backend(), departure.server());
            match (drain, step.judge(reply.text())) {
                (Drain::Waiting, plan::Verdict::Done) => {
                    known.leaving.remove(departure.backend(), departure.server());
                    tended.deleted.push(name());
                    self.counters.deleted += 1;
                }
                (Drain::Over, plan::Verdict::Done) => {
                    self.departures.ended(departure, now);
                    tended.ended.push(name());
                    self.counters.ended += 1;
                }
                (_, plan::Verdict::Pinned) => {
                    self.departures.pinned(departure);
                    tended.pinned.push(name());
                }
                (_, plan::Verdict::Busy) => self.departures.later(departure, self.drain_timeout, now),
                (_, plan::Verdict::Refused) => {
                    tracing::debug!(server = name(), reply = %reply.shown(), "a server that left can't be deleted");
                    self.departures.later(departure, self.drain_timeout, now);
                }
            }
        }
        self.departures.follow(&known.leaving, now);
        let (identity, leaving) = (known.identity, known.leaving.clone());
        self.note_leaving(identity, &leaving);
        tended
    }
}
