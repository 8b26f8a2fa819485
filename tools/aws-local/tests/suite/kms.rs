//! What the store needs of KMS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::support::{AwsLocal, Signer};

const KEY: &str = "arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a";
const OTHER: &str = "arn:aws:kms:us-east-1:232282424912:key/11111111-2222-3333-4444-555555555555";
const ABROAD: &str = "arn:aws:kms:eu-west-1:111122223333:key/99999999-2222-3333-4444-555555555555";
const MISSING: &str = "arn:aws:kms:us-east-1:232282424912:key/00000000-2222-3333-4444-555555555555";

async fn start() -> AwsLocal {
    AwsLocal::start(&["--key-arn", KEY, "--key-arn", OTHER, "--key-arn", ABROAD]).await
}

fn data_key(key: &str, context: &Value) -> Value {
    json!({"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context})
}

fn decrypt(key: &str, data_key: &Value, context: &Value) -> Value {
    let ciphertext = &data_key["CiphertextBlob"];
    json!({"KeyId": key, "CiphertextBlob": ciphertext, "EncryptionContext": context})
}

#[tokio::test]
async fn opens_a_data_key_under_the_same_context_alone() {
    let aws = start().await;
    let context = json!({"a": "1", "b": "2"});
    let made = aws.kms("GenerateDataKey", data_key(KEY, &context)).await;
    assert_eq!(made.headers["content-type"], "application/x-amz-json-1.1");
    assert!(made.headers.contains_key("x-amzn-requestid"));
    let made = made.ok();
    assert_eq!(made["KeyId"], KEY);
    let plaintext = made["Plaintext"].as_str().expect("base64");
    assert_eq!(BASE64.decode(plaintext).expect("base64").len(), 32);

    let opened = aws.kms("Decrypt", decrypt(KEY, &made, &context)).await.ok();
    assert_eq!(opened["Plaintext"], made["Plaintext"]);
    assert_eq!(opened["KeyId"], KEY);
    for wrong in [
        json!({}),
        json!({"a": "1"}),
        json!({"a": "1", "b": "3"}),
        json!({"a": "1,b=2"}),
    ] {
        let refused = aws.kms("Decrypt", decrypt(KEY, &made, &wrong)).await;
        assert_eq!(refused.error(), (400, "InvalidCiphertextException"));
    }
}

#[tokio::test]
async fn refuses_ciphertext_with_any_byte_changed_or_missing() {
    let aws = start().await;
    let none = json!({});
    let made = aws.kms("GenerateDataKey", data_key(KEY, &none)).await.ok();
    let sealed = made["CiphertextBlob"].as_str().expect("base64");
    let sealed = BASE64.decode(sealed).expect("base64");
    let mut forged: Vec<Vec<u8>> = (1..sealed.len()).map(|n| sealed[..n].to_vec()).collect();
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        forged.push(changed);
    }
    for ciphertext in forged {
        let forged = json!({"CiphertextBlob": BASE64.encode(ciphertext)});
        let refused = aws.kms("Decrypt", decrypt(KEY, &forged, &none)).await;
        assert_eq!(refused.error(), (400, "InvalidCiphertextException"));
    }
}

#[tokio::test]
async fn tells_keys_apart() {
    let aws = start().await;
    let none = json!({});
    let made = aws.kms("GenerateDataKey", data_key(KEY, &none)).await.ok();
    let refused = aws.kms("Decrypt", decrypt(OTHER, &made, &none)).await;
    assert_eq!(refused.error(), (400, "IncorrectKeyException"));

    // The ciphertext names its key at the start. With another name it must not open either:
    // the material differs.
    let sealed = BASE64.decode(made["CiphertextBlob"].as_str().expect("base64"));
    let mut sealed = sealed.expect("base64");
    let other_id = OTHER.rsplit('/').next().expect("an id");
    sealed[..other_id.len()].copy_from_slice(other_id.as_bytes());
    let renamed = json!({"CiphertextBlob": BASE64.encode(sealed)});
    let refused = aws.kms("Decrypt", decrypt(OTHER, &renamed, &none)).await;
    assert_eq!(refused.error(), (400, "InvalidCiphertextException"));

    let refused = aws.kms("Decrypt", decrypt(MISSING, &made, &none)).await;
    assert_eq!(refused.error(), (400, "NotFoundException"));
}

#[tokio::test]
async fn finds_keys_by_their_whole_arn_in_their_region() {
    let aws = start().await;
    let none = json!({});
    let abroad = Signer {
        region: "eu-west-1",
        ..Signer::default()
    };
    let operation = "GenerateDataKey";
    let made = aws
        .kms_as(abroad, operation, data_key(ABROAD, &none))
        .await
        .ok();
    assert_eq!(made["KeyId"], ABROAD);
    let other_account = KEY.replace("232282424912", "111122223333");
    for missing in [MISSING, ABROAD, &other_account] {
        let refused = aws.kms(operation, data_key(missing, &none)).await;
        assert_eq!(refused.error(), (400, "NotFoundException"), "{missing}");
    }
    let refused = aws.kms_as(abroad, operation, data_key(KEY, &none)).await;
    assert_eq!(refused.error(), (400, "NotFoundException"));
}

#[tokio::test]
async fn follows_the_state_of_the_key() {
    let aws = start().await;
    let none = json!({});
    let key = json!({"KeyId": KEY});
    let made = aws.kms("GenerateDataKey", data_key(KEY, &none)).await.ok();

    aws.kms("DisableKey", key.clone()).await.ok();
    let refused = aws.kms("GenerateDataKey", data_key(KEY, &none)).await;
    assert_eq!(refused.error(), (400, "DisabledException"));
    let refused = aws.kms("Decrypt", decrypt(KEY, &made, &none)).await;
    assert_eq!(refused.error(), (400, "DisabledException"));

    aws.kms("EnableKey", key.clone()).await.ok();
    aws.kms("Decrypt", decrypt(KEY, &made, &none)).await.ok();

    let schedule = json!({"KeyId": KEY, "PendingWindowInDays": 7});
    aws.kms("ScheduleKeyDeletion", schedule).await.ok();
    let refused = aws.kms("GenerateDataKey", data_key(KEY, &none)).await;
    assert_eq!(refused.error(), (400, "KMSInvalidStateException"));
    let refused = aws.kms("Decrypt", decrypt(KEY, &made, &none)).await;
    assert_eq!(refused.error(), (400, "KMSInvalidStateException"));
}

#[tokio::test]
async fn opens_old_ciphertext_after_a_rotation() {
    let aws = start().await;
    let none = json!({});
    let made = aws.kms("GenerateDataKey", data_key(KEY, &none)).await.ok();
    aws.kms("RotateKeyOnDemand", json!({"KeyId": KEY}))
        .await
        .ok();
    let opened = aws.kms("Decrypt", decrypt(KEY, &made, &none)).await.ok();
    assert_eq!(opened["Plaintext"], made["Plaintext"]);
}

#[tokio::test]
async fn takes_aliases() {
    let aws = start().await;
    let none = json!({});
    let alias = json!({"AliasName": "alias/sessions", "TargetKeyId": KEY});
    aws.kms("CreateAlias", alias).await.ok();
    let arn = "arn:aws:kms:us-east-1:232282424912:alias/sessions";
    for name in ["alias/sessions", arn] {
        let made = aws.kms("GenerateDataKey", data_key(name, &none)).await.ok();
        assert_eq!(made["KeyId"], KEY);
        aws.kms("Decrypt", decrypt(name, &made, &none)).await.ok();
    }
    let refused = aws
        .kms("GenerateDataKey", data_key("alias/none", &none))
        .await;
    assert_eq!(refused.error(), (400, "NotFoundException"));
}

#[tokio::test]
async fn wants_one_size_for_a_data_key() {
    let aws = start().await;
    for input in [
        json!({"KeyId": KEY}),
        json!({"KeyId": KEY, "KeySpec": "AES_256", "NumberOfBytes": 32}),
        json!({"KeyId": KEY, "KeySpec": "AES_512"}),
        json!({"KeyId": KEY, "NumberOfBytes": -1}),
        json!({"KeyId": KEY, "NumberOfBytes": 1025}),
    ] {
        let refused = aws.kms("GenerateDataKey", input).await;
        assert_eq!(refused.error(), (400, "ValidationException"));
    }
}

#[tokio::test]
async fn knows_its_operations() {
    let aws = start().await;
    let refused = aws.kms("DoNothing", json!({})).await;
    assert_eq!(refused.error(), (400, "UnknownOperationException"));
}
