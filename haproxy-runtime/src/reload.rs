//! Reloading HAProxy, and how often.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    command::{self, Command, Output},
    error::{InvalidPace, ReloadError},
    socket::{Master, MasterError},
};

/// What makes HAProxy load its file: a command, or the socket of its master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    way: Way,
    deadline: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Command(Command),
    Master(Master),
}

impl Reload {
    /// A reload by `command`, killed after `deadline`: status 0 means that HAProxy was reloaded.
    pub fn new(command: Command, deadline: Duration) -> Self {
        Self { way: Way::Command(command), deadline }
    }

    /// A reload by HAProxy's `master`, given up after `deadline`. See [`Master::reload`].
    pub fn by_master(master: Master, deadline: Duration) -> Self {
        Self { way: Way::Master(master), deadline }
    }

    /// The command, if it is one that reloads.
    pub fn command(&self) -> Option<&Command> {
        match &self.way {
            Way::Command(command) => Some(command),
            Way::Master(_) => None,
        }
    }

    /// The master, if it is one that reloads.
    pub fn master(&self) -> Option<&Master> {
        match &self.way {
            Way::Command(_) => None,
            Way::Master(master) => Some(master),
        }
    }

    /// How long it may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Reloads once, and returns how long it took. What the command prints, or the master says, is logged: at `debug` when it
    /// succeeds, at `warn` when not.
    ///
    /// # Errors
    /// The command can't be started, fails or outlives the deadline; the master can't be asked, refuses the configuration or
    /// does not say in time what came of it.
    ///
    /// # Cancel safety
    /// Dropping the future kills the command, or closes the connection; whether HAProxy has reloaded is then unknown: reload
    /// again.
    pub async fn run(&self) -> Result<Duration, ReloadError> {
        match &self.way {
            Way::Command(command) => {
                let result = command.run_with(self.deadline, &[]).await;
                Output::log("reload", &result);
                Ok(result?.took())
            }
            Way::Master(master) => {
                let result = master.reload(self.deadline).await;
                let said = match &result {
                    Ok(reload) => reload.message.as_deref(),
                    Err(MasterError::Refused { message }) => message.as_deref(),
                    Err(_) => None,
                };
                command::log_lines("reload", said.unwrap_or_default(), result.is_err());
                Ok(result?.took)
            }
        }
    }
}

/// The last time that something was tried, as [`Pace::wait`] wants to know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// When it ended. From the end, not the start: a reload that takes long must not be followed by the next at once.
    pub ended: Instant,
    /// How many attempts in a row have failed, this one included; 0 after a success.
    pub failures: u32,
    /// A random number from 0 to 1, drawn once an attempt, so that asking twice gives the same answer.
    pub draw: f64,
}

/// How long to leave HAProxy in peace between two attempts.
///
/// After a success: `min_gap`, stretched by up to `jitter * min_gap` (Synapse's `restart_interval` and
/// `restart_jitter`). After a failure the gap doubles with each further one, to at most a minute, or `min_gap` if that
/// is more; stretched by up to a quarter of itself, or `jitter` if that is more. The first attempt waits for nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    min_gap: Duration,
    jitter: f64,
}

impl Pace {
    /// The longest pause after failures, unless `min_gap` is longer; jitter comes on top.
    pub const MAX_PAUSE: Duration = Duration::from_mins(1);
    /// The shortest pause after a failure, for a `min_gap` near zero would retry in a hot loop.
    pub const MIN_PAUSE: Duration = Duration::from_millis(100);

    const MAX_GAP: Duration = Duration::from_hours(24);
    const MAX_JITTER: f64 = 10.0;
    /// The least after failures: what ails one may ail many, which are not to try again all at once.
    const FAILURE_JITTER: f64 = 0.25;

    /// A pace of one attempt every `min_gap`, stretched at random by up to `jitter` times that.
    ///
    /// # Errors
    /// A gap above a day; a jitter that is not a number from 0 to 10.
    pub fn new(min_gap: Duration, jitter: f64) -> Result<Self, InvalidPace> {
        if min_gap > Self::MAX_GAP {
            return Err(InvalidPace::Gap(min_gap));
        }
        if !(0.0..=Self::MAX_JITTER).contains(&jitter) {
            return Err(InvalidPace::Jitter(jitter));
        }
        Ok(Self { min_gap, jitter })
    }

    /// How long after `now` the next attempt may begin; zero: at once.
    pub fn wait(&self, last: Option<Attempt>, now: Instant) -> Duration {
        last.map_or(Duration::ZERO, |last| {
            self.pause(last.failures, last.draw).saturating_sub(now.saturating_duration_since(last.ended))
        })
    }

    fn pause(&self, failures: u32, draw: f64) -> Duration {
        let pause = match failures.checked_sub(1) {
            None => self.min_gap,
            Some(doublings) => self
                .min_gap
                .max(Self::MIN_PAUSE)
                .saturating_mul(2_u32.saturating_pow(doublings))
                .min(Self::MAX_PAUSE.max(self.min_gap)),
        };
        // `draw` comes from the caller and may be anything; the clamp (which keeps NaN) and the fallback bound it.
        let jitter = if failures > 0 { self.jitter.max(Self::FAILURE_JITTER) } else { self.jitter };
        let stretch = pause.as_secs_f64() * jitter * draw.clamp(0.0, 1.0);
        pause + Duration::try_from_secs_f64(stretch).unwrap_or_default()
    }
}

impl Default for Pace {
    /// Two seconds without jitter, as Synapse has it.
    fn default() -> Self {
        Self { min_gap: Duration::from_secs(2), jitter: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn pace(gap: f64, jitter: f64) -> Pace {
        Pace::new(secs(gap), jitter).unwrap()
    }

    fn after(failures: u32, draw: f64) -> Attempt {
        Attempt { ended: Instant::now(), failures, draw }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_attempt_waits_for_nothing() {
        assert_eq!(pace(10.0, 1.0).wait(None, Instant::now()), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_gap_shrinks_as_time_goes_by() {
        let last = Some(after(0, 0.0));
        assert_eq!(Pace::default().wait(last, Instant::now()), secs(2.0));
        tokio::time::advance(secs(1.5)).await;
        assert_eq!(Pace::default().wait(last, Instant::now()), secs(0.5));
        tokio::time::advance(secs(5.0)).await;
        assert_eq!(Pace::default().wait(last, Instant::now()), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_only_ever_stretches_and_stays_within_its_fraction() {
        for (draw, wait) in
            [(0.0, 10.0), (0.5, 11.75), (1.0, 13.5), (7.0, 13.5), (-3.0, 10.0), (f64::NAN, 10.0)]
        {
            assert_eq!(
                pace(10.0, 0.35).wait(Some(after(0, draw)), Instant::now()),
                secs(wait),
                "draw {draw}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_gap_up_to_a_minute() {
        for (failures, wait) in
            [(1, 2.0), (2, 4.0), (3, 8.0), (5, 32.0), (6, 60.0), (40, 60.0), (u32::MAX, 60.0)]
        {
            let last = Some(after(failures, 0.0));
            assert_eq!(Pace::default().wait(last, Instant::now()), secs(wait), "{failures} failures");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_failures_differ_even_without_jitter() {
        for (failures, wait) in [(0, 2.0), (1, 2.5), (2, 5.0), (40, 75.0)] {
            let last = Some(after(failures, 1.0));
            assert_eq!(Pace::default().wait(last, Instant::now()), secs(wait), "{failures} failures");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_never_hurry_a_gap_above_a_minute() {
        assert_eq!(pace(300.0, 0.0).wait(Some(after(9, 0.0)), Instant::now()), secs(300.0));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_pause_even_without_a_gap() {
        let pace = pace(0.0, 0.0);
        assert_eq!(pace.wait(Some(after(0, 0.0)), Instant::now()), Duration::ZERO);
        assert_eq!(pace.wait(Some(after(1, 0.0)), Instant::now()), Pace::MIN_PAUSE);
        assert_eq!(pace.wait(Some(after(3, 0.0)), Instant::now()), Pace::MIN_PAUSE * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_widest_pace_fits_the_clock() {
        let wait = pace(86_400.0, 10.0).wait(Some(after(u32::MAX, 1.0)), Instant::now());
        assert!(Instant::now().checked_add(wait).is_some());
    }

    #[test]
    fn a_pace_outside_its_bounds_is_refused() {
        assert!(matches!(Pace::new(secs(86_401.0), 0.0), Err(InvalidPace::Gap(_))));
        for jitter in [-0.1, 10.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(Pace::new(secs(2.0), jitter), Err(InvalidPace::Jitter(_))), "{jitter}");
        }
    }
}
