//! Containers on several servers.

use discovery_core::{Endpoint, Watcher, multi::Multi};

use crate::{
    fake::container,
    watched::{NEVER, Watched, backoff, until_at},
};

#[tokio::test]
async fn a_server_that_is_down_keeps_its_containers_and_hides_no_news_of_the_others() {
    let (mut one, other) = (Watched::start().await, Watched::start().await);
    one.fake.run([container(1, "app:1", 80, 1001)]);
    other.fake.run([container(1, "app:1", 80, 2001)]);
    let members: [(&str, Box<dyn Watcher>); 2] =
        [("one", Box::new(one.member(NEVER))), ("other", Box::new(other.member(NEVER)))];
    let mut both = Multi::union("web", members, backoff());
    until_at(&mut both, &[1001, 2001]).await;
    one.fake.stop().await;
    one.fake.run([]);
    for last in [2002, 2003] {
        other.fake.run([container(1, "app:1", 80, last)]);
        until_at(&mut both, &[1001, last]).await;
    }
    one.fake.start().await;
    let left = until_at(&mut both, &[2003]).await;
    assert!(left.iter().all(Endpoint::available));
}
