//! The section as it is written.

use std::{collections::BTreeMap, time::Duration};

use discovery_core::Seconds;
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    Secret,
    config::{Deadlines, Ec2Config, InvalidConfig, Keys, RegionConfig},
    selector::{Address, Selector},
};

/// What Synapse polls at unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(15);

/// The instances of EC2 that have certain tags.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    /// The name of a tag that instances must have. Comes with `tag_value`.
    #[serde(default)]
    tag_name: Option<Scalar>,
    /// The value of `tag_name`; may have wildcards.
    #[serde(default)]
    tag_value: Option<Scalar>,
    /// More tags, from name to value or list of values: all must match, of a list one value.
    #[serde(default)]
    tags: BTreeMap<String, Values>,
    /// Any other filters of `DescribeInstances`, from name to list of values.
    #[serde(default)]
    filters: BTreeMap<String, Values>,
    /// Under which of its addresses an instance is reached.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = "private_ip")))]
    address: Address,
    /// How often to ask, in seconds: more than 0, at most a day.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 15)))]
    check_interval: Option<Seconds>,
    /// The region; what the environment, the profile or the instance says unless given.
    #[serde(default)]
    aws_region: Option<String>,
    /// The URL of EC2's API, instead of the region's own.
    #[serde(default)]
    aws_endpoint: Option<Url>,
    /// An access key. Comes with `aws_secret_access_key`; without them, what the AWS SDKs find.
    #[serde(default)]
    aws_access_key_id: Option<Secret>,
    /// The secret of the access key.
    #[serde(default)]
    aws_secret_access_key: Option<Secret>,
    /// The session token of the access key, if it has one.
    #[serde(default)]
    aws_session_token: Option<Secret>,
    /// A role to assume.
    #[serde(default)]
    role_arn: Option<String>,
    /// What the owner of the role has asked for.
    #[serde(default)]
    external_id: Option<Secret>,
    /// For a connection, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 3)))]
    connect_timeout: Option<Seconds>,
    /// For one page of an answer, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 15)))]
    request_timeout: Option<Seconds>,
    /// For all pages of an answer, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("default" = 120)))]
    poll_timeout: Option<Seconds>,
}

/// A URL can have a password in it, so what serde would say of a wrong type must not repeat it.
type Url = Secret;

/// Tags are text; people write `true` and `80` for it.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Written")]
#[cfg_attr(feature = "schema", schemars(into = "Written"))]
struct Scalar(String);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Flag(bool),
    Number(i64),
    Other(IgnoredAny),
}

impl TryFrom<Written> for Scalar {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Text(text) => Ok(Self(text)),
            Written::Flag(flag) => Ok(Self(flag.to_string())),
            Written::Number(number) => Ok(Self(number.to_string())),
            Written::Other(IgnoredAny) => Err("expected text: put it in quotes"),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Written {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "boolean", "integer"], "x-exact": true })
    }
}

/// One value or a list of them.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "OneOrMore")]
#[cfg_attr(feature = "schema", schemars(into = "OneOrMore"))]
struct Values(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Scalar),
    More(Vec<Scalar>),
    Other(IgnoredAny),
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OneOrMore {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Texts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let text = generator.subschema_for::<Scalar>();
        schemars::json_schema!({
            "type": ["string", "boolean", "integer", "array"],
            "x-exact": true,
            "items": text,
        })
    }
}

impl TryFrom<OneOrMore> for Values {
    type Error = &'static str;

    fn try_from(written: OneOrMore) -> Result<Self, Self::Error> {
        match written {
            OneOrMore::One(Scalar(one)) => Ok(Self(vec![one])),
            OneOrMore::More(more) => Ok(Self(more.into_iter().map(|Scalar(one)| one).collect())),
            OneOrMore::Other(IgnoredAny) => Err("expected text or a list of texts"),
        }
    }
}

impl TryFrom<Section> for Ec2Config {
    type Error = InvalidConfig;

    fn try_from(section: Section) -> Result<Self, InvalidConfig> {
        let every = section.check_interval.map_or(INTERVAL, Seconds::get);
        let address = section.address;
        let region = section.region()?;
        let selector = section.selector()?.with_address(address);
        Self::new(region, selector, every)
    }
}

impl Section {
    fn selector(self) -> Result<Selector, InvalidConfig> {
        let first = match (self.tag_name, self.tag_value) {
            (Some(Scalar(name)), Some(Scalar(value))) => Some((format!("tag:{name}"), Values(vec![value]))),
            (Some(_), None) => return Err(InvalidConfig::NoTagValue),
            (None, Some(_)) => return Err(InvalidConfig::NoTagName),
            (None, None) => None,
        };
        let tags = self.tags.into_iter().map(|(name, values)| (format!("tag:{name}"), values));
        let mut selector: Option<Selector> = None;
        for (name, Values(values)) in first.into_iter().chain(tags).chain(self.filters) {
            selector = Some(match selector {
                None => Selector::filter(name, values)?,
                Some(selector) => selector.and_filter(name, values)?,
            });
        }
        selector.ok_or(InvalidConfig::NoTagName)
    }

    fn region(&self) -> Result<RegionConfig, InvalidConfig> {
        let mut config = RegionConfig::default();
        if let Some(region) = &self.aws_region {
            config = config.with_region(region)?;
        }
        if let Some(endpoint) = &self.aws_endpoint {
            config = config.with_endpoint(endpoint.reveal())?;
        }
        for (name, secret) in [
            ("aws_access_key_id", &self.aws_access_key_id),
            ("aws_secret_access_key", &self.aws_secret_access_key),
            ("aws_session_token", &self.aws_session_token),
            ("external_id", &self.external_id),
        ] {
            if secret.as_ref().is_some_and(|secret| secret.reveal().is_empty()) {
                return Err(InvalidConfig::Empty(name));
            }
        }
        match (&self.aws_access_key_id, &self.aws_secret_access_key) {
            (Some(id), Some(secret)) => {
                config =
                    config.with_keys(Keys::new(id.clone(), secret.clone(), self.aws_session_token.clone()));
            }
            (None, None) if self.aws_session_token.is_some() => return Err(InvalidConfig::TokenAlone),
            (None, None) => {}
            _ => return Err(InvalidConfig::HalfKeys),
        }
        match &self.role_arn {
            Some(arn) => config = config.with_role(arn, self.external_id.clone())?,
            None if self.external_id.is_some() => return Err(InvalidConfig::ExternalIdAlone),
            None => {}
        }
        let or = |written: Option<Seconds>, default| written.map_or(default, Seconds::get);
        let default = Deadlines::default();
        config.with_deadlines(Deadlines {
            connect: or(self.connect_timeout, default.connect),
            request: or(self.request_timeout, default.request),
            poll: or(self.poll_timeout, default.poll),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Ec2Config, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn tags_can_be_written_in_several_ways() {
        for (json, shown) in [
            (r#"{"tag_name": "role", "tag_value": "web"}"#, "tag:role=web"),
            (r#"{"tag_name": "on", "tag_value": true}"#, "tag:on=true"),
            (r#"{"tag_name": "port", "tag_value": 80}"#, "tag:port=80"),
            (r#"{"tags": {"role": "web", "env": ["a", "b"]}}"#, "tag:env=a,b tag:role=web"),
            (r#"{"tag_name": "role", "tag_value": "web", "tags": {"env": "a"}}"#, "tag:env=a tag:role=web"),
            (r#"{"filters": {"vpc-id": ["vpc-1"]}}"#, "vpc-id=vpc-1"),
            (r#"{"tag_name": "role", "tag_value": ""}"#, "tag:role="),
        ] {
            assert_eq!(read(json).unwrap().selector().to_string(), shown, "{json}");
        }
    }

    #[test]
    fn everything_else_has_a_default() {
        let config = read(r#"{"tag_name": "role", "tag_value": "web"}"#).unwrap();
        assert_eq!(config.every(), Duration::from_secs(15));
        assert_eq!(config.selector().address(), Address::PrivateIp);
        assert_eq!(*config.region(), RegionConfig::default());
        let other = read(r#"{"tags": {"a": "b"}, "check_interval": 120.5, "address": "public_ip"}"#).unwrap();
        assert_eq!(other.every(), Duration::from_millis(120_500));
        assert_eq!(other.selector().address(), Address::PublicIp);
    }

    #[test]
    fn equal_credentials_and_region_are_shared_whatever_is_looked_for() {
        let with = |rest: &str| {
            read(&format!(r#"{{"tags": {{"a": "b"}}, "aws_region": "eu-west-1", {rest}}}"#)).unwrap()
        };
        let keys = r#""aws_access_key_id": "AKIA", "aws_secret_access_key": "s""#;
        let one = with(&format!(r#"{keys}, "check_interval": 5"#));
        let other = with(&format!(r#"{keys}, "address": "ipv6", "filters": {{"vpc-id": "v"}}"#));
        assert_eq!(one.region(), other.region());
        for rest in [
            r#""aws_access_key_id": "AKIB", "aws_secret_access_key": "s""#,
            r#""aws_endpoint": "http://localhost:5000""#,
            r#""role_arn": "arn:aws:iam::123456789012:role/reader""#,
            r#""request_timeout": 1"#,
        ] {
            assert_ne!(one.region(), with(rest).region(), "{rest}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let tagged = [
            (r#""check_interval": 0"#, "`check_interval` is not longer than 0 s"),
            (r#""check_interval": 86401"#, "at most 86400 s"),
            (r#""check_interval": -1"#, "not a number of seconds"),
            (r#""aws_access_key_id": "a""#, "go together"),
            (r#""aws_secret_access_key": "a""#, "go together"),
            (r#""aws_access_key_id": "", "aws_secret_access_key": "a""#, "`aws_access_key_id` is empty"),
            (r#""aws_session_token": "a""#, "needs `aws_access_key_id`"),
            (r#""external_id": "a""#, "needs `role_arn`"),
            (r#""role_arn": "reader""#, "does not look like"),
            (r#""role_arn": "arn:aws:iam::1:user/x""#, "does not look like"),
            (r#""aws_region": """#, "not the name of a region"),
            (r#""aws_region": "us-east-1.evil.example/""#, "not the name of a region"),
            (r#""aws_endpoint": "localhost:5000""#, "is not a URL"),
            (r#""aws_endpoint": "ftp://localhost""#, "is not a URL"),
            (r#""aws_endpoint": "http://localhost:99999""#, "is not a URL"),
            (r#""aws_endpoint": "http://""#, "is not a URL"),
            (r#""address": "dns""#, "unknown variant `dns`"),
            (r#""poll_timeout": 0"#, "`poll_timeout` is not longer than 0 s"),
            (r#""filters": {"instance-state-name": ["stopped"]}"#, "only running instances"),
            (r#""filters": {"tag:a": ["x"]}"#, "`tag:a` is asked for twice"),
            (r#""filters": {"vpc-id": []}"#, "`vpc-id` has no value"),
            (r#""filters": {"vpc-id": {}}"#, "expected text or a list of texts"),
            (r#""tag_nam": "x""#, "unknown field `tag_nam`"),
        ];
        let tagged = tagged.map(|(rest, reason)| (format!(r#"{{"tags": {{"a": "b"}}, {rest}}}"#), reason));
        let bare = [
            ("{}", "aws tag name is required"),
            (r#"{"tag_value": "web"}"#, "aws tag name is required"),
            (r#"{"tag_name": "role"}"#, "aws tag value required"),
            (r#"{"tag_name": "", "tag_value": "web"}"#, "empty name"),
            (r#"{"tag_name": "role", "tag_value": 1.5}"#, "expected text"),
            (r#"{"tag_name": "role", "tag_value": null}"#, "aws tag value required"),
        ];
        let bare = bare.map(|(json, reason)| (json.to_owned(), reason));
        for (json, reason) in tagged.into_iter().chain(bare) {
            let error = read(&json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn endpoints_are_urls() {
        for (url, shown) in [
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
            ("HTTPS://ec2.example", "https://ec2.example"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("http://localhost/ec2", "http://localhost/ec2"),
        ] {
            assert_eq!(RegionConfig::default().with_endpoint(url).unwrap().endpoint(), Some(shown));
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let json = r#"{"tags": {"a": "b"}, "aws_access_key_id": "hunter1", "aws_secret_access_key": "hunter2",
            "aws_session_token": "hunter3", "role_arn": "arn:aws:iam::1:role/r", "external_id": "hunter4"}"#;
        let config = read(json).unwrap();
        assert!(!format!("{config:?} {}", config.region()).contains("hunter"));
        for json in [
            r#"{"tags": {"a": "b"}, "aws_secret_access_key": ["hunter2"]}"#,
            r#"{"tags": {"a": "b"}, "aws_secret_access_key": "hunter2"}"#,
            r#"{"tags": {"a": "b"}, "aws_endpoint": "http://u:hunter2@localhost"}"#,
        ] {
            let error = read(json).unwrap_err();
            assert!(!error.contains("hunter"), "{error}");
        }
    }
}
