//! Arguments, the line at the start, and the end.

use serde_json::json;

use crate::support::{AwsLocal, command};

const DEFAULT_KEY_ARN: &str =
    "arn:aws:kms:us-east-1:232282424912:key/afd7365b-7a3a-4ae6-97a6-3dcd0ec9a94a";

#[tokio::test]
async fn prints_one_line_with_loopback_addresses_and_the_default_key() {
    let aws = AwsLocal::start(&[]).await;
    for listener in ["dynamodb", "kms", "sts", "control"] {
        let address = aws.announced[listener].as_str().expect("an address");
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    }
    assert_eq!(aws.announced["keyArns"], json!([DEFAULT_KEY_ARN]));
    assert_eq!(aws.announced.as_object().map(serde_json::Map::len), Some(5));
    signal(&aws, "-TERM").await;
    let (_, rest) = aws.wait().await;
    assert_eq!(rest, "");
}

#[tokio::test]
async fn ends_well_when_its_input_ends() {
    let aws = AwsLocal::start(&[]).await;
    aws.dynamodb("ListTables", json!({})).await.ok(); // Leaves a connection open.
    assert!(aws.end().await.success());
}

#[tokio::test]
async fn ends_well_on_signals() {
    for name in ["-INT", "-TERM"] {
        let aws = AwsLocal::start(&[]).await;
        signal(&aws, name).await;
        let (status, _) = aws.wait().await;
        assert!(status.success(), "{name}: {status}");
    }
}

#[tokio::test]
async fn refuses_arguments_it_does_not_know() {
    for (arguments, complaint) in [
        (&["--verbose"][..], "--verbose"),
        (&["extra"], "extra"),
        (&["--kms-port", "many"], "many"),
        (&["--key-arn", "arn:aws:s3:::bucket"], "arn:aws:s3:::bucket"),
    ] {
        let output = command(arguments).output().await.expect("it ran");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(complaint), "{stderr}");
    }
}

#[tokio::test]
async fn says_which_port_is_taken() {
    let first = AwsLocal::start(&[]).await;
    let address = first.announced["kms"].as_str().expect("an address");
    let port = address.rsplit(':').next().expect("a port");
    let arguments = ["--kms-port", port];
    let output = command(&arguments).output().await.expect("it ran");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--kms-port"), "{stderr}");
}

#[tokio::test]
async fn keeps_items_and_key_material_across_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("made/by/it");
    let data = data.to_str().expect("UTF-8");
    let arguments = ["--data", data, "--table", "sessions"];

    let aws = AwsLocal::start(&arguments).await;
    let data_key = json!({"KeyId": DEFAULT_KEY_ARN, "KeySpec": "AES_256"});
    let data_key = aws.kms("GenerateDataKey", data_key).await.ok();
    let item = json!({"sessionId": {"S": "a"}, "encryptedKey": {"S": data_key["CiphertextBlob"]}});
    let put = json!({"TableName": "sessions", "Item": item});
    aws.dynamodb("PutItem", put).await.ok();
    assert!(aws.end().await.success());

    let aws = AwsLocal::start(&arguments).await;
    let get = json!({"TableName": "sessions", "Key": {"sessionId": {"S": "a"}}});
    let found = aws.dynamodb("GetItem", get).await.ok();
    let sealed = &found["Item"]["encryptedKey"]["S"];
    let decrypt = json!({"KeyId": DEFAULT_KEY_ARN, "CiphertextBlob": sealed});
    let opened = aws.kms("Decrypt", decrypt).await.ok();
    assert_eq!(opened["Plaintext"], data_key["Plaintext"]);
}

async fn signal(aws: &AwsLocal, name: &str) {
    let id = aws.id().to_string();
    let kill = tokio::process::Command::new("kill")
        .args([name, &id])
        .status()
        .await
        .expect("kill runs");
    assert!(kill.success());
}
