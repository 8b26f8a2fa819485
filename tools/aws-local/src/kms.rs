//! KMS by `winterbaume-kms`, in process, with the answers corrected where AWS differs.

use std::collections::BTreeMap;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use winterbaume_core::{
    MockRequest, MockResponse, MockService, StatefulService, default_account_id,
    set_default_account_id,
};
use winterbaume_kms::views::KeyView;
use winterbaume_kms::{KmsService, KmsStateView};

use crate::front::Call;
use crate::reply::{self, ErrorNamespace, Reply, Service};

/// The key id field at the start of the emulator's ciphertext, in bytes.
const KEY_ID_BYTES: usize = 36;

/// The ARN of a key to be seeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyArn {
    text: String,
    region: String,
    account: String,
    key_id: String,
}

impl KeyArn {
    /// The ARN as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for KeyArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(':').collect();
        let ["arn", "aws", "kms", region, account, resource] = fields[..] else {
            return Err(format!("{text:?} is not arn:aws:kms:REGION:ACCOUNT:key/ID"));
        };
        let key_id = resource.strip_prefix("key/").unwrap_or_default();
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if !is_word(region) || !is_word(account) || !is_word(key_id) {
            return Err(format!("{text:?} is not arn:aws:kms:REGION:ACCOUNT:key/ID"));
        }
        if key_id.len() > KEY_ID_BYTES {
            return Err(format!(
                "the key id in {text:?} is longer than 36 characters"
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            key_id: key_id.to_owned(),
        })
    }
}

/// An error of KMS.
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn into_reply(self) -> Reply {
        reply::error(
            Service::Kms,
            ErrorNamespace::Framework,
            StatusCode::BAD_REQUEST,
            self.code,
            &self.message,
        )
    }
}

/// The KMS emulator.
pub struct Kms {
    service: KmsService,
}

impl Kms {
    /// A KMS that holds `keys`, and makes new ones in the account of the first.
    ///
    /// The material of a key is the SHA-256 of its ARN, so that ciphertext outlives a restart.
    ///
    /// # Errors
    /// Two keys share region and id.
    pub async fn with_keys(keys: &[KeyArn]) -> Result<Self, String> {
        if let Some(first) = keys.first() {
            set_default_account_id(first.account.as_str());
        }
        let service = KmsService::new();
        for (index, key) in keys.iter().enumerate() {
            let same = |other: &KeyArn| other.region == key.region && other.key_id == key.key_id;
            if keys[..index].iter().any(same) {
                return Err(format!("two keys named {} in {}", key.key_id, key.region));
            }
            let view = KmsStateView {
                keys: [(key.key_id.clone(), seeded(key))].into(),
                ..KmsStateView::default()
            };
            service
                .merge(default_account_id(), &key.region, view)
                .await
                .map_err(|error| format!("cannot seed {}: {error}", key.text))?;
        }
        Ok(Self { service })
    }

    /// Answers a call.
    pub async fn answer(&self, call: &Call) -> Reply {
        let Some(operation) = call.operation.as_deref() else {
            return Refusal::new("UnknownOperationException", "").into_reply();
        };
        // A body that is no JSON object is for the emulator to refuse.
        let Ok(input) = serde_json::from_slice::<Map<String, Value>>(&call.body) else {
            let mock = self.ask(call.region(), operation, call.body.clone()).await;
            return finish(mock).unwrap_or_else(Refusal::into_reply);
        };
        self.answer_input(call, operation, input)
            .await
            .unwrap_or_else(Refusal::into_reply)
    }

    async fn answer_input(
        &self,
        call: &Call,
        operation: &str,
        mut input: Map<String, Value>,
    ) -> Result<Reply, Refusal> {
        for field in ["KeyId", "TargetKeyId", "SourceKeyId", "DestinationKeyId"] {
            if let Some(key) = input.get(field).and_then(Value::as_str) {
                let metadata = self.find_key(call.region(), key).await?;
                if operation == "RotateKeyOnDemand" {
                    return rotate(&metadata);
                }
            }
        }
        if operation.starts_with("GenerateDataKey") && !operation.contains("Pair") {
            check_data_key_size(&input)?;
        }
        for field in [
            "EncryptionContext",
            "SourceEncryptionContext",
            "DestinationEncryptionContext",
        ] {
            if let Some(context) = input.get_mut(field) {
                seal(context);
            }
        }
        let body = serde_json::to_vec(&input).unwrap_or_default();
        let mock = self.ask(call.region(), operation, body.into()).await;
        if error_code(&mock).as_deref() == Some("IncorrectKeyException") {
            self.check_ciphertext(call.region(), &input).await?;
        }
        finish(mock)
    }

    async fn ask(&self, region: &str, operation: &str, body: Bytes) -> MockResponse {
        let mut headers = HeaderMap::new();
        if let Ok(target) = HeaderValue::from_str(&format!("TrentService.{operation}")) {
            headers.insert("x-amz-target", target);
        }
        let request = MockRequest {
            method: "POST".to_owned(),
            uri: format!("https://kms.{region}.amazonaws.com/"),
            headers,
            body,
        };
        self.service.handle(request).await
    }

    /// The metadata of the key `reference` names: an id, an alias, or the ARN of either.
    ///
    /// The emulator looks at the last part of an ARN alone; AWS at all of it.
    async fn find_key(&self, region: &str, reference: &str) -> Result<Value, Refusal> {
        let account = default_account_id();
        let full = match reference.split(':').nth(3) {
            Some(named) if named != region => {
                return Err(Refusal::new(
                    "NotFoundException",
                    format!("Invalid arn {named}"),
                ));
            }
            Some(_) => reference.to_owned(),
            None if reference.starts_with("alias/") => {
                format!("arn:aws:kms:{region}:{account}:{reference}")
            }
            None => format!("arn:aws:kms:{region}:{account}:key/{reference}"),
        };
        let body = json!({"KeyId": reference}).to_string().into();
        let mock = self.ask(region, "DescribeKey", body).await;
        let mut answer: Value = serde_json::from_slice(&mock.body).unwrap_or_default();
        let metadata = answer["KeyMetadata"].take();
        let is_alias = full.contains(":alias/");
        let found = if is_alias {
            metadata.is_object() && full.split(':').nth(4) == Some(account)
        } else {
            metadata["Arn"] == full.as_str() || metadata["KeyId"] == reference
        };
        if found {
            Ok(metadata)
        } else if is_alias {
            let message = format!("Alias {full} is not found.");
            Err(Refusal::new("NotFoundException", message))
        } else {
            let message = format!("Key '{full}' does not exist");
            Err(Refusal::new("NotFoundException", message))
        }
    }

    /// Refuses ciphertext that names no key at all, which the emulator takes for that of
    /// another key.
    async fn check_ciphertext(
        &self,
        region: &str,
        input: &Map<String, Value>,
    ) -> Result<(), Refusal> {
        let ciphertext = input.get("CiphertextBlob").and_then(Value::as_str);
        let Some(Ok(ciphertext)) = ciphertext.map(|text| BASE64.decode(text)) else {
            return Ok(());
        };
        let key_id = ciphertext
            .get(..KEY_ID_BYTES)
            .and_then(|id| std::str::from_utf8(id).ok())
            .map(|id| id.trim_end_matches('\0'));
        let known = match key_id {
            Some(key_id) if !key_id.contains([':', '/']) => {
                self.find_key(region, key_id).await.is_ok()
            }
            _ => false,
        };
        if known {
            Ok(())
        } else {
            Err(Refusal::new("InvalidCiphertextException", ""))
        }
    }
}

fn seeded(key: &KeyArn) -> KeyView {
    KeyView {
        key_id: key.key_id.clone(),
        arn: key.text.clone(),
        account_id: key.account.clone(),
        region: key.region.clone(),
        description: String::new(),
        key_spec: "SYMMETRIC_DEFAULT".to_owned(),
        key_usage: "ENCRYPT_DECRYPT".to_owned(),
        key_state: "Enabled".to_owned(),
        creation_date: "2026-01-01T00:00:00Z".to_owned(),
        enabled: true,
        origin: "AWS_KMS".to_owned(),
        key_manager: "CUSTOMER".to_owned(),
        deletion_date: None,
        key_rotation_enabled: false,
        key_material: Sha256::digest(&key.text).to_vec(),
        public_key_der: None,
        tags: std::collections::HashMap::new(),
        multi_region: key.key_id.starts_with("mrk-"),
    }
}

/// Answers `RotateKeyOnDemand` without the emulator, which would throw the old material away
/// and with it all ciphertext. In AWS a caller cannot tell the difference.
fn rotate(metadata: &Value) -> Result<Reply, Refusal> {
    let arn = metadata["Arn"].as_str().unwrap_or_default();
    match metadata["KeyState"].as_str() {
        Some("Disabled") => Err(Refusal::new(
            "DisabledException",
            format!("{arn} is disabled."),
        )),
        Some("PendingDeletion") => Err(Refusal::new(
            "KMSInvalidStateException",
            format!("{arn} is pending deletion."),
        )),
        _ => Ok(reply::from_body(
            Service::Kms,
            StatusCode::OK,
            json!({"KeyId": metadata["KeyId"]}).to_string().into(),
        )),
    }
}

fn check_data_key_size(input: &Map<String, Value>) -> Result<(), Refusal> {
    let given = |field| input.get(field).filter(|value| !value.is_null());
    let bytes = given("NumberOfBytes");
    if bytes.is_some() == given("KeySpec").is_some() {
        return Err(Refusal::new(
            "ValidationException",
            "Please specify either number of bytes or key spec.",
        ));
    }
    match bytes.and_then(Value::as_i64) {
        Some(count) if !(1..=1024).contains(&count) => Err(Refusal::new(
            "ValidationException",
            format!(
                "1 validation error detected: Value '{count}' at 'numberOfBytes' failed to \
                 satisfy constraint: Member must have value between 1 and 1024"
            ),
        )),
        _ => Ok(()),
    }
}

/// Packs an encryption context into one pair, its JSON with sorted keys.
///
/// The emulator binds `k=v` joined by commas, in which `{"a": "1,b=2"}` and
/// `{"a": "1", "b": "2"}` are the same.
fn seal(context: &mut Value) {
    let pairs: Option<BTreeMap<&str, &str>> = context.as_object().and_then(|context| {
        context
            .iter()
            .map(|(key, value)| Some((key.as_str(), value.as_str()?)))
            .collect()
    });
    if let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) {
        *context = json!({"context": json!(pairs).to_string()});
    }
}

/// The emulator's reply, with the code AWS has for an operation it does not know.
fn finish(mock: MockResponse) -> Result<Reply, Refusal> {
    if error_code(&mock).as_deref() == Some("InvalidAction") {
        return Err(Refusal::new("UnknownOperationException", ""));
    }
    Ok(reply::from_mock(Service::Kms, mock))
}

fn error_code(mock: &MockResponse) -> Option<String> {
    if mock.status < 400 {
        return None;
    }
    let body: Value = serde_json::from_slice(&mock.body).ok()?;
    Some(body["__type"].as_str()?.to_owned())
}
