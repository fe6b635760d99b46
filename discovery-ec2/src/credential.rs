//! As whom to ask.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::{
    Credentials,
    credential_feature::AwsCredentialFeature,
    provider::{self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use tracing::info;

use crate::config::{Keys, RegionConfig};

/// What the log says of where credentials come from. It outlives the clients that are made and dropped while EC2 refuses them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    base: Arc<Mutex<Option<&'static str>>>,
    role: Arc<Mutex<Option<&'static str>>>,
}

/// Hands credentials on, and says in the log where they come from: once, and again when that changes. Nothing of what they are
/// is logged.
#[derive(Debug)]
struct Witness {
    provider: SharedCredentialsProvider,
    region: String,
    told: Arc<Mutex<Option<&'static str>>>,
}

impl Witness {
    fn watch(
        provider: SharedCredentialsProvider,
        config: &RegionConfig,
        told: &Arc<Mutex<Option<&'static str>>>,
    ) -> SharedCredentialsProvider {
        let (region, told) = (config.to_string(), Arc::clone(told));
        SharedCredentialsProvider::new(Self { provider, region, told })
    }

    async fn provide(&self) -> provider::Result {
        let credentials = self.provider.provide_credentials().await?;
        let from = origin(&credentials);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).replace(from);
        if told != Some(from) {
            info!(parent: None, source = "ec2", region = self.region, credentials = from, "credentials found");
        }
        Ok(credentials)
    }
}

impl ProvideCredentials for Witness {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

/// Where credentials come from. The last feature is what gave these; those before it gave what was needed to get them.
fn origin(credentials: &Credentials) -> &'static str {
    use AwsCredentialFeature as From;
    let features = credentials.get_property::<Vec<AwsCredentialFeature>>();
    match features.and_then(|features| features.last()) {
        None | Some(From::CredentialsCode) => "configuration",
        Some(From::CredentialsEnvVars) => "environment",
        Some(
            From::CredentialsProfile
            | From::CredentialsProfileSourceProfile
            | From::CredentialsProfileNamedProvider,
        ) => "profile",
        Some(From::CredentialsProcess | From::CredentialsProfileProcess) => {
            "credential_process of the profile"
        }
        Some(
            From::CredentialsEnvVarsStsWebIdToken
            | From::CredentialsProfileStsWebIdToken
            | From::CredentialsStsAssumeRoleWebId,
        ) => "web identity token",
        Some(From::CredentialsHttp) => "container",
        Some(From::CredentialsImds) => "instance metadata",
        Some(From::CredentialsStsAssumeRole) => "assumed role",
        Some(_) => "another provider of the SDK's",
    }
}

/// Who provides credentials: the keys of the configuration or else whatever the SDK has found, and the role that is assumed
/// with those.
pub(crate) async fn provider(
    sdk: &SdkConfig,
    config: &RegionConfig,
    told: &Told,
) -> Option<SharedCredentialsProvider> {
    let base = match config.keys() {
        Some(keys) => SharedCredentialsProvider::new(written(keys)),
        None => sdk.credentials_provider()?,
    };
    let base = Witness::watch(base, config, &told.base);
    let Some(role) = config.role() else { return Some(base) };
    let mut assume = AssumeRoleProvider::builder(&role.arn).session_name("synapse-rs").configure(sdk);
    if let Some(id) = &role.external_id {
        assume = assume.external_id(id.reveal());
    }
    let assumed = SharedCredentialsProvider::new(assume.build_from_provider(base).await);
    Some(Witness::watch(assumed, config, &told.role))
}

fn written(keys: &Keys) -> Credentials {
    let token = keys.token.as_ref().map(|token| token.reveal().to_owned());
    Credentials::new(keys.id.reveal(), keys.secret.reveal(), token, None, "configuration")
}

/// Whether an error is that of somebody who provides credentials, and what can be done about it.
pub(crate) fn advice(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref::<CredentialsError>()? {
        CredentialsError::CredentialsNotLoaded(_) => Some(
            "there are no credentials: set `aws_access_key_id` and `aws_secret_access_key`, the environment or a profile, or \
             give the instance a role",
        ),
        CredentialsError::ProviderTimedOut(_) => {
            Some("whoever provides the credentials did not answer in time")
        }
        CredentialsError::InvalidConfiguration(_) => Some("the profile or the role does not make sense"),
        _ => Some("whoever provides the credentials refused or failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_a_name() {
        let mut credentials = Credentials::new("id", "secret", None, None, "any");
        assert_eq!(origin(&credentials), "configuration");
        for (feature, name) in [
            (AwsCredentialFeature::CredentialsEnvVars, "environment"),
            (AwsCredentialFeature::CredentialsImds, "instance metadata"),
            (AwsCredentialFeature::CredentialsStsAssumeRole, "assumed role"),
        ] {
            credentials.get_property_mut_or_default::<Vec<AwsCredentialFeature>>().push(feature);
            assert_eq!(origin(&credentials), name);
        }
    }
}
