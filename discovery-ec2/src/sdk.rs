//! EC2, through the SDK. Nothing of the SDK leaves this module, [`credential`](crate::credential), [`trust`](crate::trust) and
//! [`xml`](crate::xml).

use std::{error::Error, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_ec2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::describe_instances::{DescribeInstancesError, DescribeInstancesOutput},
    types::{self, Filter, InstanceNetworkInterfaceAttachment as Attachment},
};
use http_body_util::LengthLimitError;

use crate::{
    config::RegionConfig,
    credential::{self, Told},
    describe::{Describe, Instance, Page},
    failure::{Failure, Kind},
    filter::Filters,
    trust::Trust,
    xml::{MAX_PAGE, NotWhole, Whole},
};

/// Instances a page: the most that EC2 takes.
const PAGE: i32 = 1000;

/// Asks EC2. The client is made when it is first needed, and anew after EC2 has refused it: what the environment, a profile or
/// the instance said may have been put right.
pub(crate) struct Sdk {
    config: RegionConfig,
    client: Option<(Client, Trust)>,
    told: Told,
}

impl Sdk {
    pub(crate) fn new(config: RegionConfig) -> Self {
        Self { config, client: None, told: Told::default() }
    }
}

impl Describe for Sdk {
    async fn page(&mut self, filters: &Filters, token: Option<&str>) -> Result<Page, Failure> {
        let (client, trust) = match self.client.take() {
            Some(known) => known,
            None => connect(&self.config, &self.told).await?,
        };
        let filters = filters.iter().map(|(name, values)| {
            Filter::builder().name(name).set_values(Some(values.iter().cloned().collect())).build()
        });
        let request = client
            .describe_instances()
            .set_filters(Some(filters.collect()))
            .max_results(PAGE)
            .set_next_token(token.map(str::to_owned));
        let answer =
            request.send().await.map_err(|error| failure(&error, self.config.deadlines().request, trust));
        if !answer.as_ref().is_err_and(|failure| failure.kind() == Kind::Refused) {
            self.client = Some((client, trust));
        }
        answer.and_then(page)
    }
}

/// Finds region and credentials. Without a region of the configuration's this may ask the instance's metadata.
async fn connect(config: &RegionConfig, told: &Told) -> Result<(Client, Trust), Failure> {
    let deadlines = config.deadlines();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(deadlines.connect)
        .operation_attempt_timeout(deadlines.request)
        .operation_timeout(deadlines.request)
        .build();
    let (http, trust) = Trust::client().await?;
    let mut loader = ConfigLoader::default()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts.clone());
    if let Some(region) = config.region() {
        loader = loader.region(aws_config::Region::new(region.to_owned()));
    }
    let sdk = Box::pin(loader.load()).await;
    if sdk.region().is_none() {
        let text = "no region is known: set `aws_region`, or AWS_REGION in the environment";
        return Err(Failure::new(Kind::Refused, text));
    }
    let provider = credential::provider(&sdk, config, told).await;
    // The driver asks again, and it alone: the SDK's retries would be calls that nobody counts.
    let mut builder = aws_sdk_ec2::config::Builder::from(&sdk)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .interceptor(Whole);
    builder.set_credentials_provider(provider);
    if let Some(endpoint) = config.endpoint() {
        builder = builder.endpoint_url(endpoint);
    }
    Ok((Client::from_conf(builder.build()), trust))
}

fn page(answer: DescribeInstancesOutput) -> Result<Page, Failure> {
    let malformed = |text| Failure::new(Kind::Answer, text);
    // EC2 writes an empty list for "nobody". No list at all is no answer, and must not be taken for one.
    let reservations = answer.reservations.ok_or_else(|| malformed("the answer has no list of instances"))?;
    let mut instances = Vec::new();
    for instance in reservations.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default())
    {
        instances.push(
            convert(instance).ok_or_else(|| malformed("the answer has an instance without id or state"))?,
        );
    }
    Ok(Page { instances, next: filled(answer.next_token) })
}

/// EC2 writes an empty text for what an instance does not have.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn convert(instance: types::Instance) -> Option<Instance> {
    let ipv6 = ipv6(&instance);
    let tags = instance.tags.unwrap_or_default().into_iter();
    Some(Instance {
        id: filled(instance.instance_id)?,
        state: Some(instance.state?.name?.as_str().to_owned()),
        private_dns: filled(instance.private_dns_name),
        private_ip: filled(instance.private_ip_address),
        public_ip: filled(instance.public_ip_address),
        ipv6,
        kind: filled(instance.instance_type.map(|kind| kind.as_str().to_owned())),
        zone: filled(instance.placement.and_then(|placement| placement.availability_zone)),
        image: filled(instance.image_id),
        vpc: filled(instance.vpc_id),
        subnet: filled(instance.subnet_id),
        tags: tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default()))).collect(),
    })
}

/// The instance's own IPv6 address; or that of its first network interface: the one that is called primary, or else the lowest
/// as text, so that it is the same one each time.
fn ipv6(instance: &types::Instance) -> Option<String> {
    if let Some(own) = filled(instance.ipv6_address.clone()) {
        return Some(own);
    }
    let index = |interface: &&types::InstanceNetworkInterface| {
        interface.attachment().and_then(Attachment::device_index).unwrap_or(i32::MAX)
    };
    let first = instance.network_interfaces().iter().min_by_key(index)?;
    let addresses = first.ipv6_addresses().iter();
    let best = addresses
        .min_by_key(|address| (!address.is_primary_ipv6().unwrap_or(false), address.ipv6_address()))?;
    filled(best.ipv6_address.clone())
}

fn failure(error: &SdkError<DescribeInstancesError>, within: Duration, trust: Trust) -> Failure {
    let text = joined(causes(error).skip(1));
    if let Some(advice) = trust.advice(&text) {
        return Failure::advised(Kind::Refused, &text, advice);
    }
    if let Some(advice) = causes(error).find_map(credential::advice) {
        return Failure::advised(Kind::Refused, &text, advice);
    }
    if let Some(cause) = causes(error).find(|cause| cause.is::<NotWhole>()) {
        return Failure::new(Kind::Answer, joined(causes(cause)));
    }
    if causes(error).any(<dyn Error>::is::<LengthLimitError>) {
        let text = format!("the answer has more than {} MiB", MAX_PAGE >> 20);
        return Failure::advised(Kind::Answer, &text, "is that EC2's API?");
    }
    match error {
        SdkError::ServiceError(service) => {
            let (error, status) = (service.err(), service.raw().status().as_u16());
            let reads = (200..300).contains(&status);
            if reads {
                return Failure::advised(Kind::Answer, &text, "is that EC2's API?");
            }
            Failure::from_code(error.code(), error.message(), status)
        }
        SdkError::ResponseError(_) => Failure::advised(Kind::Answer, &text, "the answer could not be read"),
        SdkError::TimeoutError(_) => {
            Failure::new(Kind::Unreachable, format_args!("no answer within {within:?}"))
        }
        SdkError::DispatchFailure(_) => {
            Failure::advised(Kind::Unreachable, &text, "no connection: are the region and the network right?")
        }
        _ => Failure::new(Kind::Refused, text),
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What errors say, in one line; what is said again, and what only says that something failed, is left out.
fn joined<'a>(errors: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for text in errors.map(ToString::to_string) {
        if text != "unhandled error" && parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
