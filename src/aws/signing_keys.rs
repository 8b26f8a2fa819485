//! Checks the keys that a provider has found before they sign a request. The SDK panics on some.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use futures_util::FutureExt;

use super::credentials::NotFound;
use super::settings::Settings;

/// A provider whose credentials are checked.
#[derive(Debug)]
pub(super) struct Checked {
    provider: SharedCredentialsProvider,
    /// The profile that the provider reads.
    profile: String,
    /// What is wrong with the keys of the profile. It is an error only if they are used.
    in_profile: Option<String>,
}

impl ProvideCredentials for Checked {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            // To assume a profile's role, the SDK signs with the profile's keys itself.
            let search = AssertUnwindSafe(self.provider.provide_credentials()).catch_unwind();
            let reason = match search.await {
                Ok(found) => {
                    let found = found?;
                    match unusable_key(&found) {
                        None => return Ok(without_empty_token(found)),
                        Some(name) => self.reason(name),
                    }
                }
                Err(panic) if is_about_a_key(panic.as_ref()) => format!(
                    "a key with which the role of the AWS profile {} is to be assumed {UNUSABLE}",
                    self.profile
                ),
                Err(panic) => resume_unwind(panic),
            };
            Err(CredentialsError::invalid_configuration(NotFound::unusable(
                reason,
            )))
        })
    }
}

pub(super) const UNUSABLE: &str =
    "is empty, or holds white space, a line break or another character that no key has";

impl Checked {
    pub(super) fn new(
        provider: impl ProvideCredentials + 'static,
        settings: &Settings,
        in_profile: Option<String>,
    ) -> Checked {
        Checked {
            provider: SharedCredentialsProvider::new(provider),
            profile: settings.profile().to_owned(),
            in_profile,
        }
    }

    /// Names the key: the SDK does not say which of its providers has found it.
    fn reason(&self, (variable, value): (&str, &str)) -> String {
        let own = std::env::var(variable).is_ok_and(|set| set.trim() == value.trim());
        match &self.in_profile {
            _ if own => format!("the environment's {variable} {UNUSABLE}"),
            Some(reason) => reason.clone(),
            None => format!("{} {UNUSABLE}", variable.to_lowercase()),
        }
    }
}

/// Whether a panic of the SDK is one about a key that no header can hold.
fn is_about_a_key(panic: &(dyn Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>();
    text.is_some_and(|text| text.contains("InvalidHeaderValue"))
}

/// A key with a character that cannot be in a header of a request, and the name of its variable. It
/// comes from a file or a secret that ends in a newline.
fn unusable_key(found: &Credentials) -> Option<(&'static str, &str)> {
    let token = found.session_token().filter(|token| !token.is_empty());
    let values = [
        ("AWS_ACCESS_KEY_ID", Some(found.access_key_id())),
        ("AWS_SECRET_ACCESS_KEY", Some(found.secret_access_key())),
        ("AWS_SESSION_TOKEN", token),
    ];
    let named = values
        .into_iter()
        .filter_map(|(variable, value)| Some((variable, value?)));
    named.into_iter().find(|(_, value)| !is_usable_key(value))
}

/// Checks an access key id, a secret access key or a session token.
pub(super) fn is_usable_key(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A line without a value in a file is no session token, but the SDK would send one.
fn without_empty_token(found: Credentials) -> Credentials {
    if found.session_token() != Some("") {
        return found;
    }
    let mut plain = Credentials::builder()
        .access_key_id(found.access_key_id())
        .secret_access_key(found.secret_access_key())
        .provider_name("connect-dynamodb-kms");
    plain.set_expiry(found.expiry());
    plain.set_account_id(found.account_id().cloned());
    plain.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, secret: &str, token: Option<&str>) -> Credentials {
        Credentials::new(id, secret, token.map(str::to_owned), None, "a test")
    }

    async fn refused(provider: Credentials, in_profile: Option<&str>) -> String {
        let checked = Checked {
            provider: SharedCredentialsProvider::new(provider),
            profile: "default".to_owned(),
            in_profile: in_profile.map(str::to_owned),
        };
        let error = checked.provide_credentials().await.expect_err("an error");
        let source = std::error::Error::source(&error).expect("a source");
        let not_found = source.downcast_ref::<NotFound>().expect("ours");
        not_found.reason.clone().expect("a reason")
    }

    #[tokio::test]
    async fn keys_that_no_header_holds_are_named() {
        let unusable = [
            ("AKIA\n", "secret", None, "aws_access_key_id"),
            ("AKIA", " secret", None, "aws_secret_access_key"),
            ("AKIA", "secret", Some("t\u{f6}ken"), "aws_session_token"),
            ("", "secret", None, "aws_access_key_id"),
        ];
        for (id, secret, token, name) in unusable {
            let reason = refused(found(id, secret, token), None).await;
            assert!(reason.starts_with(name), "{reason}");
            assert!(!reason.contains("AKIA"), "{reason}");
            let reason = refused(found(id, secret, token), Some("of a profile")).await;
            assert_eq!(reason, "of a profile");
        }
    }

    #[test]
    fn an_empty_token_is_none_and_leaves_the_rest() {
        let mut full = Credentials::builder()
            .access_key_id("AKIA")
            .secret_access_key("secret")
            .account_id("232282424912")
            .expiry(std::time::SystemTime::UNIX_EPOCH)
            .provider_name("a test");
        full.set_session_token(Some(String::new()));
        let plain = without_empty_token(full.build());
        assert_eq!(plain.session_token(), None);
        assert_eq!(plain.access_key_id(), "AKIA");
        assert_eq!(plain.secret_access_key(), "secret");
        assert!(plain.account_id().is_some());
        assert_eq!(plain.expiry(), Some(std::time::SystemTime::UNIX_EPOCH));
    }
}
