//! One question and all pages of its answer.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    bucket::Bucket,
    describe::{Describe, Instance},
    failure::{Failure, Kind},
    filter::Filters,
};

/// More instances than this in one answer are an error: nobody balances over so many, and memory is bounded.
const MAX_INSTANCES: usize = 100_000;

/// All pages of an answer.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) instances: Vec<Instance>,
    pub(crate) pages: usize,
}

/// Asks for one page after the other, each when the bucket allows it. Fails as a whole: what was read until then is not used.
///
/// `deadline` is for all pages together, with the waits between them; the wait for the first is not counted.
pub(crate) async fn read<D: Describe>(
    describe: &mut D,
    bucket: &mut Bucket,
    filters: &Filters,
    deadline: Duration,
) -> Result<Listing, Failure> {
    bucket.take().await;
    let mut read = 0;
    let answer = timeout(deadline, pages(describe, bucket, filters, &mut read)).await;
    answer.unwrap_or_else(|_| Err(Failure::late(deadline, read)))
}

/// `read` says how many pages have come until now.
async fn pages<D: Describe>(
    describe: &mut D,
    bucket: &mut Bucket,
    filters: &Filters,
    read: &mut usize,
) -> Result<Listing, Failure> {
    let mut instances = Vec::new();
    let mut token: Option<String> = None;
    for page in 1.. {
        let answer =
            describe.page(filters, token.as_deref()).await.map_err(|failure| failure.at_page(page))?;
        *read = page;
        instances.extend(answer.instances);
        if instances.len() > MAX_INSTANCES {
            let text =
                format!("the answer has more than {MAX_INSTANCES} instances: narrow it by tags or filters");
            return Err(Failure::new(Kind::Question, text));
        }
        let Some(next) = answer.next else { return Ok(Listing { instances, pages: page }) };
        if token.as_ref() == Some(&next) {
            return Err(Failure::new(Kind::Answer, "a page names itself as the next").at_page(page));
        }
        token = Some(next);
        bucket.take().await;
    }
    Err(Failure::new(Kind::Answer, "the answer has no end"))
}
