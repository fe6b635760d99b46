//! One service as a source.

use std::{fmt, num::NonZeroU16, sync::Arc};

use async_trait::async_trait;
use discovery_core::{Endpoint, Host, Rejection, Retry, Snapshot, WatchError, Watcher};
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use tokio::sync::{mpsc, watch};

use crate::{
    answer::{Answer, Slot},
    describe::Instance,
    entry,
    resolve::{Resolve, System, Unresolved, resolve},
    roster::{Command, MemberId},
    selector::{Address, Selector},
};

/// How many names are looked up at the same time.
const LOOKUPS: usize = 16;

/// The instances that one service wants, as a [`Watcher`].
///
/// Made by [`Region::member`](crate::Region::member); answers for as long as the region's driver runs: once after each of its
/// questions that concerns this service. An equal answer says that EC2 was asked and nothing has changed.
///
/// # Errors
///
/// [`Retry::After`] zero when EC2 gave no answer: once after each attempt, which the driver paces. [`Retry::Backoff`] when a name
/// could not be looked up ([`Address::PrivateDns`]): the same answer's names are looked up again when `next` is called again.
/// [`Retry::Never`] when the driver was dropped.
pub struct Member {
    id: MemberId,
    selector: Selector,
    port: NonZeroU16,
    /// "finding SELECTOR (EC2 in REGION)"
    doing: Arc<str>,
    slot: watch::Receiver<Slot>,
    driver: mpsc::UnboundedSender<Command>,
    resolver: System,
    /// Numbers of the last answer and the last failure that were told.
    answers: u64,
    failures: u64,
}

/// What there is to tell.
enum News {
    Answer(u64, Arc<Answer>),
    Failure(u64, WatchError),
}

impl Member {
    pub(crate) fn new(
        id: MemberId,
        selector: Selector,
        port: NonZeroU16,
        region: &str,
        slot: watch::Receiver<Slot>,
        driver: mpsc::UnboundedSender<Command>,
        resolver: System,
    ) -> Self {
        let doing = format!("finding {selector} ({region})").into();
        Self { id, selector, port, doing, slot, driver, resolver, answers: 0, failures: 0 }
    }

    /// What it looks for.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    fn error(&self) -> WatchError {
        WatchError::new(self.doing.to_string())
    }

    /// A newer answer first: it is right whatever has failed since.
    fn news(&mut self) -> Option<News> {
        let slot = self.slot.borrow_and_update();
        if let Some(answer) = slot.value().as_ref().filter(|_| slot.version() != self.answers) {
            return Some(News::Answer(slot.version(), Arc::clone(answer)));
        }
        let (number, failure) = slot.failure().filter(|(number, _)| *number != self.failures)?;
        let error = WatchError::new(self.doing.to_string()).because(failure.clone());
        Some(News::Failure(number, error.retry(failure.when())))
    }

    /// Waits for news; takes no note of having told it.
    async fn wait(&mut self) -> Result<News, WatchError> {
        loop {
            if let Some(news) = self.news() {
                return Ok(news);
            }
            if self.slot.changed().await.is_err() {
                return Err(self.error().because("the region's driver has ended").retry(Retry::Never));
            }
        }
    }
}

/// What of an answer one service wants.
async fn snapshot(
    answer: &Answer,
    selector: &Selector,
    port: NonZeroU16,
    resolver: &impl Resolve,
) -> Result<Snapshot, Unresolved> {
    let wanted: Vec<_> = answer.instances.iter().filter(|instance| selector.wants(instance)).collect();
    let mut entries: Vec<Result<Endpoint, Rejection>> = Vec::new();
    let mut names = Vec::new();
    for instance in wanted {
        match (entry::address(instance, selector.address()), selector.address()) {
            (Err(rejection), _) => entries.push(Err(rejection)),
            (Ok(name), Address::PrivateDns) => names.push((instance, name)),
            (Ok(text), _) => entries
                .push(entry::literal(instance, text).and_then(|host| entry::endpoint(instance, &host, port))),
        }
    }
    entries.extend(resolved(names, port, resolver).await?);
    let rejected: Vec<_> = entries.iter().filter_map(|entry| entry.as_ref().err().cloned()).collect();
    Ok(Snapshot::new(entries.into_iter().flatten()).with_rejected(rejected))
}

/// Looks names up. A name that does not exist is an entry that makes no sense; a resolver that does not answer is a source
/// that could not be read. When not one name of several exists, it is the resolver that is wrong.
async fn resolved(
    names: Vec<(&Instance, &str)>,
    port: NonZeroU16,
    resolver: &impl Resolve,
) -> Result<Vec<Result<Endpoint, Rejection>>, Unresolved> {
    let several = names.len() > 1;
    let mut lookups: Vec<BoxFuture<'_, _>> = Vec::new();
    for (instance, name) in names {
        lookups.push(Box::pin(async move {
            match resolve(resolver, name).await {
                Err(error @ Unresolved::NoAnswer { .. }) => Err(error),
                other => Ok((instance, other)),
            }
        }));
    }
    let answers: Vec<_> = stream::iter(lookups).buffer_unordered(LOOKUPS).try_collect().await?;
    if several && answers.iter().all(|(_, answer)| answer.is_err()) {
        let first = answers.into_iter().find_map(|(_, answer)| answer.err());
        return first.map_or(Ok(Vec::new()), Err);
    }
    let entry = |(instance, answer): (&Instance, Result<_, Unresolved>)| match answer {
        Ok(ip) => Host::try_from(ip)
            .map_err(|error| entry::reject(instance, error))
            .and_then(|host| entry::endpoint(instance, &host, port)),
        Err(error) => Err(entry::reject(instance, error)),
    };
    Ok(answers.into_iter().map(entry).collect())
}

#[async_trait]
impl Watcher for Member {
    async fn next(&mut self) -> Result<Snapshot, WatchError> {
        match self.wait().await? {
            News::Answer(number, answer) => {
                let snapshot = snapshot(&answer, &self.selector, self.port, &self.resolver).await;
                // An answer whose names could not be looked up stays unread: the next call tries again.
                let snapshot = snapshot.map_err(|error| self.error().because(error))?;
                self.answers = number;
                Ok(snapshot)
            }
            News::Failure(number, error) => {
                self.failures = number;
                Err(error)
            }
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A driver that has ended asks nothing any more.
        let _ = self.driver.send(Command::Leave(self.id));
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("selector", &self.selector).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::IpAddr};

    use tokio::time::Instant;

    use super::*;
    use crate::{filter::Filters, resolve::tests::Names};

    const PORT: NonZeroU16 = NonZeroU16::new(80).unwrap();

    fn instance(number: u8) -> Instance {
        Instance {
            id: format!("i-{number}"),
            state: Some("running".to_owned()),
            private_dns: Some(format!("ip-{number}")),
            private_ip: Some(format!("10.0.0.{number}")),
            tags: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
            ..Instance::default()
        }
    }

    fn answer(instances: impl IntoIterator<Item = Instance>) -> Answer {
        let instances = instances.into_iter().collect();
        Answer { filters: Filters::default(), asked: Instant::now(), instances }
    }

    fn selector(address: Address) -> Selector {
        Selector::tag("role", ["web"]).unwrap().with_address(address)
    }

    async fn by_name(names: &Names, count: u8) -> Result<Snapshot, Unresolved> {
        snapshot(&answer((1..=count).map(instance)), &selector(Address::PrivateDns), PORT, &names).await
    }

    fn hosts(snapshot: &Snapshot) -> Vec<IpAddr> {
        snapshot.iter().filter_map(|endpoint| endpoint.host().ip()).collect()
    }

    #[tokio::test]
    async fn another_order_is_the_same_snapshot() {
        let selector = selector(Address::PrivateIp);
        let forwards =
            snapshot(&answer((1..=9).map(instance)), &selector, PORT, &System::new()).await.unwrap();
        let backwards = snapshot(&answer((1..=9).rev().map(instance)), &selector, PORT, &System::new()).await;
        assert_eq!(forwards.len(), 9);
        assert_eq!(backwards.unwrap(), forwards);
    }

    #[tokio::test]
    async fn an_instance_that_two_pages_have_is_one_endpoint() {
        let twice = answer([instance(1), instance(2), instance(1)]);
        assert_eq!(
            snapshot(&twice, &selector(Address::PrivateIp), PORT, &System::new()).await.unwrap().len(),
            2
        );
    }

    #[tokio::test]
    async fn an_instance_without_the_wanted_address_is_counted_and_the_others_serve() {
        let public = Instance { public_ip: Some("1.2.3.4".to_owned()), ..instance(2) };
        let both = answer([instance(1), public]);
        let found = snapshot(&both, &selector(Address::PublicIp), PORT, &System::new()).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found.rejected().named(), [Rejection::new("i-1", "has no public_ip")]);
    }

    #[tokio::test]
    async fn names_are_resolved_here() {
        let names = Names::default();
        names.set("ip-1", Ok("10.1.0.1"));
        names.set("ip-2", Ok("10.1.0.2"));
        let found = by_name(&names, 2).await.unwrap();
        assert_eq!(hosts(&found), ["10.1.0.1", "10.1.0.2"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_costs_that_instance() {
        let names = Names::default();
        names.set("ip-1", Ok("10.1.0.1"));
        names.set("ip-2", Err("Name or service not known"));
        let found = by_name(&names, 2).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found.rejected().named(), [Rejection::new("i-2", "ip-2 does not resolve")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_does_not_answer_is_a_failure_and_no_smaller_set() {
        let names = Names::default();
        names.set("ip-1", Ok("10.1.0.1"));
        names.set("ip-2", Err("Temporary failure in name resolution"));
        assert!(by_name(&names, 2).await.is_err());
        assert!(by_name(&names, 3).await.is_err(), "the third is never answered");
    }

    #[tokio::test]
    async fn a_resolver_that_knows_nobody_is_a_failure() {
        let names = Names::default();
        for name in ["ip-1", "ip-2"] {
            names.set(name, Err("Name or service not known"));
        }
        assert!(by_name(&names, 2).await.is_err());
        let one = by_name(&names, 1).await.unwrap();
        assert_eq!((one.len(), one.rejected().total()), (0, 1));
    }
}
