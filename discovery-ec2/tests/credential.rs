//! As whom EC2 is asked, and what the log says of it: each test in a process whose environment and log are its own.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

mod endpoint;

use std::{
    io,
    num::NonZeroU16,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use discovery_core::{Backoff, Snapshot, WatchError, Watcher};
use discovery_ec2::{Keys, Member, Region, RegionConfig, Secret, Selector};
use endpoint::{Assumed, Endpoint, Instance, Mood, issuer};
use tokio::time::timeout;
use tracing_subscriber::filter::LevelFilter;

const PATIENCE: Duration = Duration::from_mins(1);
const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// What was logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Log {
    /// Keeps everything that is logged from now on, by the SDK and the HTTP client too.
    fn keep() {
        let everything = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE);
        everything.with_ansi(false).without_time().with_writer(|| Log).init();
    }

    /// What was kept, but not what the SDK says below `info`, where it names the ids of keys and roles. Nobody ever names a
    /// secret or a token.
    fn lines() -> Vec<String> {
        let log = String::from_utf8(LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap();
        assert!(log.contains("TRACE EC2.DescribeInstances"), "the SDK's own lines are not there");
        let leaks: Vec<_> = log.lines().filter(|line| line.contains("hunter")).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
        let operator = |line: &&str| [" INFO", " WARN", "ERROR"].iter().any(|level| line.starts_with(level));
        log.lines().filter(operator).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The instances with `role=web`, asked for again after a short while.
fn member(config: RegionConfig) -> Member {
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(20)).unwrap();
    let (region, driver) = Region::new(config, backoff);
    tokio::spawn(driver);
    let port = NonZeroU16::new(8080).unwrap();
    region.member(Selector::tag("role", ["web"]).unwrap(), port, Duration::from_hours(1))
}

async fn answer(member: &mut Member) -> Result<Snapshot, WatchError> {
    timeout(PATIENCE, member.next()).await.expect("an answer in time")
}

async fn fails(member: &mut Member) -> String {
    answer(member).await.expect_err("a failure").chain()
}

/// Answers with one instance.
async fn endpoint() -> Endpoint {
    let endpoint = Endpoint::start().await;
    endpoint.hold([Instance::numbered(1, &[("role", "web")])]);
    endpoint
}

fn in_region() -> RegionConfig {
    RegionConfig::default().with_region("us-east-1").unwrap()
}

/// Keys that are nobody's business.
fn keys() -> Keys {
    Keys::new(Secret::new("AKIDTEST"), Secret::new("hunter2"), Some(Secret::new("hunter3")))
}

/// Set in the process that a test runs itself in.
const ALONE: &str = "CREDENTIAL_TEST_ALONE";

/// Whether this is the process that a test runs itself in.
#[allow(clippy::disallowed_methods, reason = "which of the two processes this is")]
fn is_alone() -> bool {
    std::env::var(ALONE).is_ok()
}

/// Does `work` in a process of its own, whose environment has nothing of AWS but this: the test called `test`, which calls this,
/// is started again there.
fn alone(test: &str, environment: &[(&str, &str)], work: impl Future<Output = ()>) {
    if is_alone() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(work);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_clear().env(ALONE, "1");
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent");
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "no test is called {test}");
}

#[test]
fn no_credentials_are_told_with_where_they_could_come_from() {
    alone("no_credentials_are_told_with_where_they_could_come_from", &[], async {
        let endpoint = endpoint().await;
        let error = fails(&mut member(in_region().with_endpoint(&endpoint.url()).unwrap())).await;
        assert!(error.contains("there are no credentials: set `aws_access_key_id`"), "{error}");
        assert_eq!(endpoint.requests(), 0);
    });
}

#[test]
fn no_region_is_told_with_where_it_could_come_from() {
    alone("no_region_is_told_with_where_it_could_come_from", &[], async {
        let error = fails(&mut member(RegionConfig::default())).await;
        assert!(error.contains("set `aws_region`, or AWS_REGION in the environment"), "{error}");
        assert!(error.starts_with("finding tag:role=web (EC2 in the default region)"), "{error}");
    });
}

#[test]
fn region_and_credentials_of_the_environment_are_used() {
    let environment =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "x")];
    alone("region_and_credentials_of_the_environment_are_used", &environment, async {
        let endpoint = endpoint().await;
        let mut member = member(RegionConfig::default().with_endpoint(&endpoint.url()).unwrap());
        assert_eq!(answer(&mut member).await.unwrap().len(), 1);
        assert_eq!(endpoint.asked()[0].key_id, "AKIDENV");
    });
}

/// [`alone`], asking an endpoint for instances, roles and credentials that stays in this process, so that this process sees what it was
/// asked. In the other process there is another, which nobody asks. `ENDPOINT` in a value is its URL.
async fn alone_with(
    endpoint: &Endpoint,
    test: &'static str,
    environment: &[(&'static str, &str)],
    work: impl Future<Output = ()> + Send + 'static,
) {
    let url = endpoint.url();
    let mut environment: Vec<_> =
        environment.iter().map(|(name, value)| (*name, value.replace("ENDPOINT", &url))).collect();
    environment.push(("AWS_ENDPOINT_URL", url));
    let run = move || {
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        alone(test, &environment, work);
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

/// Asks for instances with whatever credentials are found, and that the log says these.
async fn found(from: &'static str, config: RegionConfig) {
    Log::keep();
    assert_eq!(answer(&mut member(config)).await.unwrap().len(), 1);
    let log = Log::lines();
    let last = log.last().unwrap();
    assert!(
        last.contains("credentials found") && last.contains(&format!("credentials=\"{from}\"")),
        "{log:#?}"
    );
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_and_instances_are_asked_for_as_that_role() {
    let endpoint = endpoint().await;
    let test = "a_role_is_assumed_with_its_external_id_and_instances_are_asked_for_as_that_role";
    alone_with(&endpoint, test, &[], async {
        Log::keep();
        let config = in_region().with_keys(keys()).with_role(ROLE, Some(Secret::new("external-4"))).unwrap();
        assert_eq!(answer(&mut member(config)).await.unwrap().len(), 1);
        let found = |from| {
            format!(
                " INFO discovery_ec2::credential: credentials found source=\"ec2\" region=\"EC2 in us-east-1\" credentials=\"{from}\""
            )
        };
        let asking = " INFO discovery_ec2::driver: asking EC2 source=\"ec2\" region=\"EC2 in us-east-1\" services=1 questions=1";
        assert_eq!(Log::lines(), [asking.to_owned(), found("configuration"), found("assumed role")]);
    })
    .await;
    if !is_alone() {
        let by_keys = Assumed {
            arn: ROLE.to_owned(),
            external_id: Some("external-4".to_owned()),
            web_identity: None,
            key_id: "AKIDTEST".to_owned(),
        };
        assert_eq!(endpoint.assumed(), [by_keys]);
        assert_eq!(endpoint.asked()[0].key_id, Assumed::KEY_ID);
    }
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_told_with_the_permission_that_is_missing() {
    let endpoint = endpoint().await;
    let test = "a_role_that_may_not_be_assumed_is_told_with_the_permission_that_is_missing";
    alone_with(&endpoint, test, &[], async {
        let config = in_region().with_keys(keys()).with_role("arn:aws:iam::1:role/denied", None).unwrap();
        let error = fails(&mut member(config)).await;
        assert!(error.contains("is not authorized to perform: sts:AssumeRole on resource: arn:"), "{error}");
    })
    .await;
    assert_eq!(endpoint.requests(), 0);
}

#[test]
fn where_credentials_come_from_is_told_once_however_often_ec2_refuses_them() {
    alone("where_credentials_come_from_is_told_once_however_often_ec2_refuses_them", &[], async {
        Log::keep();
        let endpoint = endpoint().await;
        endpoint.mood(Mood::Refuses(403, "UnauthorizedOperation", "You are not authorized."));
        let mut member = member(in_region().with_keys(keys()).with_endpoint(&endpoint.url()).unwrap());
        for _ in 0..4 {
            fails(&mut member).await;
        }
        let log = Log::lines();
        assert_eq!(log.len(), 3, "{log:#?}");
        assert!(log[0].contains("asking EC2") && log[1].contains("credentials found"), "{log:#?}");
        assert!(log[2].contains("the credentials need the IAM permission ec2:DescribeInstances"), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("AKIDTEST")), "{log:#?}");
    });
}

/// What an instance has of the metadata.
const METADATA: &[(&str, &str)] =
    &[("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ENDPOINT")];

/// What a container with a role has.
const CONTAINER: &[(&str, &str)] = &[
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "ENDPOINT/v1/credentials"),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN", issuer::CONTAINER_TOKEN),
];

#[tokio::test]
async fn an_instance_asks_as_its_role_and_in_its_region() {
    let endpoint = endpoint().await;
    let test = "an_instance_asks_as_its_role_and_in_its_region";
    alone_with(&endpoint, test, METADATA, found("instance metadata", RegionConfig::default())).await;
    if !is_alone() {
        assert_eq!(endpoint.asked()[0].key_id, issuer::INSTANCE_KEY);
        assert_eq!(endpoint.asked()[0].region, "us-west-2");
    }
}

#[tokio::test]
async fn a_container_asks_as_its_role() {
    let endpoint = endpoint().await;
    alone_with(&endpoint, "a_container_asks_as_its_role", CONTAINER, found("container", in_region())).await;
    if !is_alone() {
        assert_eq!(endpoint.asked()[0].key_id, format!("{}1", issuer::CONTAINER_KEY));
    }
}

#[tokio::test]
async fn a_web_identity_is_exchanged_for_its_role() {
    let endpoint = endpoint().await;
    let mut token = tempfile::NamedTempFile::new().unwrap();
    io::Write::write_all(&mut token, b"hunter-identity").unwrap();
    let token = token.path().to_str().unwrap();
    let environment = [("AWS_WEB_IDENTITY_TOKEN_FILE", token), ("AWS_ROLE_ARN", ROLE)];
    let test = "a_web_identity_is_exchanged_for_its_role";
    alone_with(&endpoint, test, &environment, found("web identity token", in_region())).await;
    if !is_alone() {
        let by_token = Assumed {
            arn: ROLE.to_owned(),
            external_id: None,
            web_identity: Some("hunter-identity".to_owned()),
            key_id: String::new(),
        };
        assert_eq!(endpoint.assumed(), [by_token]);
        assert_eq!(endpoint.asked()[0].key_id, Assumed::KEY_ID);
    }
}

#[tokio::test]
async fn credentials_that_ec2_has_refused_are_looked_for_anew() {
    let endpoint = endpoint().await;
    endpoint.mood(Mood::Refuses(400, "ExpiredToken", "The provided token has expired."));
    let test = "credentials_that_ec2_has_refused_are_looked_for_anew";
    let work = async {
        let mut member = member(in_region());
        assert!(fails(&mut member).await.contains("the credentials have expired"));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while let Err(error) = answer(&mut member).await {
            assert!(tokio::time::Instant::now() < deadline, "{}", error.chain());
        }
    };
    let renewed = async {
        let asked = async {
            while !is_alone() && endpoint.requests() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, asked).await.expect("EC2 is asked");
        endpoint.mood(Mood::Good);
    };
    tokio::join!(alone_with(&endpoint, test, CONTAINER, work), renewed);
    if !is_alone() {
        let asked = endpoint.asked();
        let (first, last) = (&asked[0], &asked[asked.len() - 1]);
        assert_eq!(first.key_id, format!("{}1", issuer::CONTAINER_KEY));
        assert_eq!(last.key_id, format!("{}{}", issuer::CONTAINER_KEY, asked.len()));
        assert!(asked.len() > 1);
    }
}

/// The variables by which no certificates are found.
const NO_CERTIFICATES: &[(&str, &str)] =
    &[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];

#[test]
fn a_machine_without_certificates_reaches_what_needs_none() {
    alone("a_machine_without_certificates_reaches_what_needs_none", NO_CERTIFICATES, async {
        let endpoint = endpoint().await;
        let config = in_region().with_keys(keys()).with_endpoint(&endpoint.url()).unwrap();
        assert_eq!(answer(&mut member(config)).await.unwrap().len(), 1);
    });
}
