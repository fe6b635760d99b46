//! The conformance kit: what it passes, and that it catches each way of breaking a rule.

mod registry;

use std::{fs, path::PathBuf, time::Duration};

use async_trait::async_trait;
use discovery_core::{
    Catalog, Endpoint, File, Fixed, Polled, Snapshot,
    testing::conformance::{Check, Subject, assert_conforms, examine},
};
use registry::{Fault, Registry};

struct Settled(Snapshot);

#[async_trait]
impl Subject for Settled {
    type Watcher = Fixed;

    async fn watcher(&mut self) -> Fixed {
        Fixed::new(self.0.clone())
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        self.0 = endpoints.iter().cloned().collect();
    }

    fn changes(&self) -> bool {
        false
    }
}

/// A catalog in a folder of its own.
struct OnDisk {
    dir: tempfile::TempDir,
    text: String,
    every: Duration,
    /// How it is written: in place, or beside it and renamed over it.
    in_place: bool,
}

impl OnDisk {
    fn new(every: Duration, in_place: bool) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder for the test"),
            text: String::new(),
            every,
            in_place,
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("catalog.json")
    }

    fn away(&self) -> PathBuf {
        self.dir.path().join("away.json")
    }

    fn write(&self) {
        let path = if self.away().exists() { self.away() } else { self.path() };
        if self.in_place {
            fs::write(path, &self.text).expect("writing in place");
        } else {
            let beside = self.dir.path().join("beside");
            fs::write(&beside, &self.text).expect("writing beside");
            fs::rename(beside, path).expect("renaming into place");
        }
    }
}

#[async_trait]
impl Subject for OnDisk {
    type Watcher = Polled<File>;

    async fn watcher(&mut self) -> Polled<File> {
        File::watch(self.path(), "web", self.every)
    }

    async fn set(&mut self, endpoints: &[Endpoint]) {
        let snapshot = endpoints.iter().cloned().collect();
        self.text = Catalog::new([("web".to_owned(), snapshot)]).to_json();
        self.write();
    }

    async fn corrupt(&mut self) -> bool {
        self.text = self.text.replacen('[', r#"[{"host": "-", "port": 1},"#, 1);
        self.write();
        true
    }

    async fn go_down(&mut self) -> bool {
        fs::rename(self.path(), self.away()).expect("moving away");
        true
    }

    async fn come_back(&mut self) {
        if self.away().exists() {
            fs::rename(self.away(), self.path()).expect("moving back");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_changes_conforms() {
    let report = assert_conforms(&mut Settled(Snapshot::default())).await;
    let passed =
        [Check::FullFirst, Check::EmptyIsAnAnswer, Check::LosesNothingWhenDropped, Check::WaitsWithoutNews];
    assert_eq!(report.passed(), passed);
}

#[tokio::test(start_paused = true)]
async fn a_file_conforms_with_the_clock_paused() {
    let report = assert_conforms(&mut OnDisk::new(File::EVERY, false)).await;
    assert_eq!(report.skipped(), [Check::NoticesAFrozenPeer]);
}

#[tokio::test]
async fn a_file_that_is_written_in_place_conforms_in_real_time() {
    let report = assert_conforms(&mut OnDisk::new(Duration::from_millis(10), true)).await;
    assert_eq!(report.skipped(), [Check::NoticesAFrozenPeer]);
}

#[tokio::test]
async fn a_sound_watcher_of_a_registry_passes_every_check_in_real_time() {
    let report = assert_conforms(&mut Registry::new(None)).await;
    assert_eq!(report.passed(), Check::ALL);
}

#[tokio::test(start_paused = true)]
async fn a_sound_watcher_of_a_registry_passes_every_check_with_the_clock_paused() {
    let report = assert_conforms(&mut Registry::new(None)).await;
    assert_eq!(report.passed(), Check::ALL);
}

#[tokio::test(start_paused = true)]
async fn each_broken_rule_is_caught_by_its_check() {
    for (fault, check) in [
        (Fault::SaysOnlyAPart, Check::FullFirst),
        (Fault::FailsWhenNobodyIsThere, Check::EmptyIsAnAnswer),
        (Fault::IsSilentWhenNobodyIsThere, Check::EmptyIsAnAnswer),
        (Fault::KeepsWhoLeft, Check::TellsNews),
        (Fault::ComparesKeysAlone, Check::TellsNews),
        (Fault::TellsTheFirstOfABurst, Check::EndsBurstsRight),
        (Fault::LetsABadEntrySpoilAll, Check::RejectsWhatCannotBeParsed),
        (Fault::HidesBadEntries, Check::RejectsWhatCannotBeParsed),
        (Fault::SaysNobodyWhenDown, Check::FailsWhenDown),
        (Fault::IsSilentWhenDown, Check::FailsWhenDown),
        (Fault::RepeatsTheLastGoodWhenDown, Check::FailsWhenDown),
        (Fault::FailsOnceThenSleeps, Check::FailsWhenDown),
        (Fault::EndsWhenDown, Check::FailsWhenDown),
        (Fault::ForgetsToAnswerAfterAnError, Check::RecoversAfterErrors),
        (Fault::StaysBrokenAfterAnError, Check::RecoversAfterErrors),
        (Fault::TakesUpWhereItWas, Check::SeesWhatItMissed),
        (Fault::WaitsForAFrozenPeer, Check::NoticesAFrozenPeer),
        (Fault::LosesTheFirstAnswerWhenDropped, Check::LosesNothingWhenDropped),
        (Fault::LosesNewsWhenDropped, Check::LosesNothingWhenDropped),
        (Fault::AnswersWithoutNews, Check::WaitsWithoutNews),
        (Fault::SpinsWithoutNews, Check::WaitsWithoutNews),
    ] {
        let report = examine(&mut Registry::new(Some(fault))).await;
        let failed: Vec<_> = report.failures().iter().map(|failure| failure.check).collect();
        println!("{fault:?}");
        for failure in report.failures() {
            println!("  {failure}");
        }
        assert!(failed.contains(&check), "{fault:?} was caught by {failed:?} and not by {check:?}");
    }
}
