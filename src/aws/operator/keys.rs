//! What the KMS keys are.

use aws_sdk_kms::types::{KeyManagerType, KeySpec, KeyState, KeyUsageType};

use super::AwsInfrastructure;
use crate::error::{Error, Result};
use crate::operator::infrastructure::KeyFacts;

impl AwsInfrastructure {
    pub(super) async fn describe_key(&self, index: usize) -> Result<KeyFacts> {
        let key = self.keys.get(index);
        let key = key.ok_or_else(|| Error::Config(format!("there is no key {index}")))?;
        let call = key.call("kms:DescribeKey");
        let request = key
            .clients
            .kms(&call)
            .await?
            .describe_key()
            .key_id(&key.arn);
        let reply = call.answer(request.send()).await?;
        let described = reply
            .key_metadata
            .ok_or_else(|| call.wrong_answer("it describes no key"))?;
        let text = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
        Ok(KeyFacts {
            state: text(described.key_state.as_ref().map(KeyState::as_str)),
            spec: text(described.key_spec.as_ref().map(KeySpec::as_str)),
            usage: text(described.key_usage.as_ref().map(KeyUsageType::as_str)),
            of_aws: described.key_manager == Some(KeyManagerType::Aws),
            arn: described.arn.unwrap_or_else(|| key.arn.clone()),
        })
    }
}
