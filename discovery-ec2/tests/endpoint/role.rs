//! Roles, as STS hands them out.

use std::collections::BTreeMap;

/// Somebody asked for a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assumed {
    pub(crate) arn: String,
    pub(crate) external_id: Option<String>,
    /// What a web identity was proven by.
    pub(crate) web_identity: Option<String>,
    /// The id of the key that signed the request; empty where nothing is signed.
    pub(crate) key_id: String,
}

impl Assumed {
    /// The id of the key that everybody gets. Its secret and its token have `hunter` in them.
    pub(crate) const KEY_ID: &str = "ASIAROLE";

    pub(super) fn read(fields: &BTreeMap<String, String>, key_id: String) -> Self {
        Self {
            arn: fields.get("RoleArn").cloned().unwrap_or_default(),
            external_id: fields.get("ExternalId").cloned(),
            web_identity: fields.get("WebIdentityToken").cloned(),
            key_id,
        }
    }

    /// HTTP status and body. A role whose name ends in `denied` is nobody's.
    pub(super) fn answer(&self) -> (u16, String) {
        let Self { arn, key_id, .. } = self;
        if arn.ends_with("denied") {
            let message =
                format!("User: {key_id} is not authorized to perform: sts:AssumeRole on resource: {arn}");
            let xml = format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>AccessDenied</Code><Message>{message}</Message></Error></ErrorResponse>"
            );
            return (403, xml);
        }
        let how = if self.web_identity.is_some() { "WithWebIdentity" } else { "" };
        let xml = format!(
            "<AssumeRole{how}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRole{how}Result><AssumedRoleUser>\
             <AssumedRoleId>AROA:s</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{}</AccessKeyId>\
             <SecretAccessKey>hunter-secret</SecretAccessKey><SessionToken>hunter-token</SessionToken>\
             <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRole{how}Result></AssumeRole{how}Response>",
            Self::KEY_ID
        );
        (200, xml)
    }
}
