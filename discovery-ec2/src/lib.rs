//! Service discovery by EC2 tags: one question for all services of a region.
//!
//! A [`Region`] asks EC2 with one set of credentials in one region, however many services are found through it; a [`Member`] is
//! the [`Watcher`](discovery_core::Watcher) of one service. Nothing is spawned: [`Region::new`] returns a future beside the
//! handle, and whoever embeds this decides where it runs.
//!
//! ```no_run
//! use std::{num::NonZeroU16, time::Duration};
//!
//! use discovery_core::{Backoff, Observed, supervise};
//! use discovery_ec2::{Region, RegionConfig, Selector};
//! use tokio::sync::watch;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RegionConfig::default().with_region("us-east-1")?;
//! let (region, driver) = Region::new(config, Backoff::default());
//! tokio::spawn(driver);
//!
//! let port = NonZeroU16::new(8080).unwrap();
//! let web = region.member(Selector::tag("role", ["web"])?, port, Duration::from_secs(15));
//! let (publish, mut observed) = watch::channel(Observed::default());
//! tokio::spawn(supervise("web", web, Backoff::default(), publish, std::future::pending()));
//!
//! while observed.changed().await.is_ok() {
//!     println!("{:?}", observed.borrow_and_update().snapshot);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is found
//!
//! Running instances that a [`Selector`] wants. An endpoint's name is the private DNS name, or the instance id where there is
//! none or where it is longer than 128 bytes; its host is the address that the selector names; its labels are all tags under
//! their own names, and `aws:availability_zone`, `aws:instance_id` and `aws:instance_type`, which no tag can be called: EC2 keeps
//! that prefix to itself. A tag that can be no label (a line end in its value) is left out; of more than 253 tags, the last.
//!
//! An instance without the wanted address is listed in [`Snapshot::rejected`](discovery_core::Snapshot::rejected), as is one
//! whose private DNS name does not exist, when that is the address. A resolver that does not answer, or says of each of several
//! names that it does not exist, is a failure instead: it takes nobody out. Each name has 5 seconds, and 64 names are looked up
//! at the same time.
//!
//! # What is asked
//!
//! `DescribeInstances` for running instances, in pages of 1,000: one question for all services that can be told apart here,
//! narrowed to the tags they want as far as one question can say that in the 200 values that EC2 takes. A service with a filter
//! that only EC2 can judge (see [`Selector`]) has a question of its own, shared by those with the same filters. One page is
//! asked for at a time. The log says how many questions there are for how many services.
//!
//! The interval is the smallest that anybody sharing a question asked for, and up to a tenth more at random. Who joins later
//! gets the last answer, if that is younger than its interval and covers what it wants; otherwise a question follows within 50
//! milliseconds, but not sooner than a second after the last.
//!
//! # Manners
//!
//! An account has one budget of calls in a region, for all programs in it: 50 at once, and 10 a second. A [`Region`] makes at most
//! 10 at once and one a second, failed ones included; the SDK's own retries are off. When more is asked for than that, a
//! warning shows the arithmetic, and answers come as often as they can.
//!
//! | trouble | what follows |
//! |---|---|
//! | a call is throttled | the interval doubles, up to eight times what was asked for or ten minutes, and shrinks by a quarter with each answer; the next attempt comes at a random moment within it |
//! | anything else goes wrong | another attempt at a random moment within a bound that doubles, by the [`Backoff`](discovery_core::Backoff) that the region was made with |
//! | a page after the first fails, or the answer is cut off or no XML | nothing of the answer is used, and the next attempt starts over |
//! | throttled, unreachable, refused | every [`Member`] says so after each attempt; the questions take turns, so that one which never gets an answer does not keep the others from theirs |
//! | one question fails for itself: not accepted, an internal error, a malformed answer, too many pages | its members say so after each attempt; the others go on |
//! | credentials, permission or region are wrong | as above, with what to do; credentials and region are looked for anew by the next attempt |
//!
//! # Permissions
//!
//! `ec2:DescribeInstances`, which cannot be limited to certain instances; and `sts:AssumeRole` for a role. Where credentials come
//! from (configuration, environment, profile, web identity token, container, instance metadata, assumed role) is logged once, and
//! nothing else of them. The SDK's own lines, below `info` and of targets that begin with `aws_`, name the ids of keys and roles and the
//! session with the instance's metadata, which is of use on the instance alone: log them for nobody who did not ask. Secrets and tokens of
//! keys are in none.
//!
//! TLS is rustls on ring, with the certificates of the operating system; what needs no TLS needs none of them. Proxies named in the
//! environment are not used.

mod answer;
mod bucket;
mod chain;
mod config;
mod credential;
mod describe;
mod driver;
mod entry;
mod failure;
mod filter;
mod member;
mod pace;
mod pattern;
mod raw;
mod region;
mod resolve;
mod roster;
mod sdk;
mod selector;
mod trust;
mod xml;

pub use config::{Deadlines, Ec2Config, InvalidConfig, Keys, RegionConfig};
pub use discovery_core::Secret;
pub use member::Member;
pub use region::Region;
pub use selector::{Address, InvalidSelector, Selector};
