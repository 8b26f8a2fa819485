//! Counts, recorded requests and faults.

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{ACCESS_KEY_ID, AwsLocal, Signer};

fn get(id: &str) -> Value {
    json!({"TableName": "sessions", "Key": {"sessionId": {"S": id}}})
}

#[tokio::test]
async fn counts_calls_by_action_until_reset() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    for _ in 0..3 {
        aws.dynamodb("GetItem", get("a")).await.ok();
    }
    aws.kms("ListKeys", json!({})).await.ok();
    let form = "Action=GetCallerIdentity";
    aws.sts_as(Signer::default(), form).await.ok();
    let expected = json!({
        "dynamodb:GetItem": 3, "kms:ListKeys": 1, "sts:GetCallerIdentity": 1,
    });
    assert_eq!(aws.calls().await, expected);

    let reset = aws.control(Method::DELETE, "/calls", Value::Null).await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT);
    assert_eq!(aws.calls().await, json!({}));
    let requests = aws.control(Method::GET, "/requests", Value::Null).await;
    assert_eq!(requests.ok(), json!([]));
}

#[tokio::test]
async fn records_requests_in_order() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    aws.dynamodb("GetItem", get("a")).await.ok();
    let signer = Signer {
        region: "eu-west-1",
        ..Signer::default()
    };
    aws.sts_as(signer, "Action=GetCallerIdentity").await.ok();
    aws.send(
        "kms",
        Method::POST,
        "/",
        HeaderMap::from_iter([(
            http::HeaderName::from_static("x-amz-target"),
            http::HeaderValue::from_static("TrentService.ListKeys"),
        )]),
        "{}",
    )
    .await;
    let requests = aws.control(Method::GET, "/requests", Value::Null).await;
    let expected = json!([
        {"action": "dynamodb:GetItem", "accessKeyId": ACCESS_KEY_ID, "region": "us-east-1",
         "body": get("a")},
        {"action": "sts:GetCallerIdentity", "accessKeyId": ACCESS_KEY_ID, "region": "eu-west-1",
         "body": "Version=2011-06-15&Action=GetCallerIdentity"},
        {"action": "kms:ListKeys", "accessKeyId": null, "region": null, "body": {}},
    ]);
    assert_eq!(requests.ok(), expected);
}

#[tokio::test]
async fn injects_a_fault_as_often_as_asked_and_counts_the_calls() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    aws.add_fault(json!({
        "action": "dynamodb:GetItem", "status": 400, "code": "ThrottlingException",
        "message": "slow down", "times": 2,
    }))
    .await;
    for _ in 0..2 {
        let faulted = aws.dynamodb("GetItem", get("a")).await;
        assert_eq!(faulted.status, StatusCode::BAD_REQUEST);
        let expected = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException",
            "message": "slow down",
        });
        assert_eq!(faulted.body, expected);
        assert!(faulted.headers.contains_key("x-amzn-requestid"));
        assert_eq!(
            faulted.headers["content-type"],
            "application/x-amz-json-1.0"
        );
    }
    aws.dynamodb("GetItem", get("a")).await.ok();
    assert_eq!(aws.calls().await["dynamodb:GetItem"], 3);
}

#[tokio::test]
async fn injects_a_lasting_fault_into_a_whole_service_until_it_is_removed() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    aws.add_fault(json!({"action": "kms:*", "status": 500, "code": "KMSInternalException"}))
        .await;
    for operation in ["ListKeys", "ListAliases", "ListKeys"] {
        let faulted = aws.kms(operation, json!({})).await;
        assert_eq!(faulted.error(), (500, "KMSInternalException"));
        assert_eq!(faulted.body["__type"], "KMSInternalException");
        assert!(faulted.headers.contains_key("x-amzn-requestid"));
    }
    aws.dynamodb("GetItem", get("a")).await.ok();
    let removed = aws.control(Method::DELETE, "/faults", Value::Null).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    aws.kms("ListKeys", json!({})).await.ok();
}

#[tokio::test]
async fn faults_strike_in_the_order_they_were_added() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    for (action, code) in [("dynamodb:GetItem", "First"), ("dynamodb:*", "Second")] {
        aws.add_fault(json!({"action": action, "status": 500, "code": code, "times": 1}))
            .await;
    }
    for code in ["First", "Second"] {
        let faulted = aws.dynamodb("GetItem", get("a")).await;
        assert_eq!(faulted.error(), (500, code));
    }
    aws.dynamodb("GetItem", get("a")).await.ok();
}

#[tokio::test]
async fn leaves_the_last_writes_of_a_batch_unprocessed() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    let put = |id: &str| json!({"PutRequest": {"Item": {"sessionId": {"S": id}}}});
    let batch = json!({"RequestItems": {"sessions": [put("a"), put("b"), put("c")]}});

    aws.add_fault(json!({"action": "dynamodb:BatchWriteItem", "unprocessed": 2, "times": 1}))
        .await;
    let answer = aws.dynamodb("BatchWriteItem", batch.clone()).await.ok();
    let held = json!({"sessions": [put("b"), put("c")]});
    assert_eq!(answer["UnprocessedItems"], held);
    assert!(aws.dynamodb("GetItem", get("a")).await.ok()["Item"].is_object());
    assert!(aws.dynamodb("GetItem", get("b")).await.ok()["Item"].is_null());

    aws.add_fault(json!({"action": "dynamodb:BatchWriteItem", "unprocessed": 9, "times": 1}))
        .await;
    let answer = aws.dynamodb("BatchWriteItem", batch.clone()).await.ok();
    assert_eq!(answer["UnprocessedItems"], batch["RequestItems"]);

    let answer = aws.dynamodb("BatchWriteItem", batch).await.ok();
    assert_eq!(answer["UnprocessedItems"], json!({}));
}

#[tokio::test]
async fn says_what_is_wrong_with_a_fault() {
    let aws = AwsLocal::start(&[]).await;
    let error = |rest: Value| {
        let mut fault = json!({"action": "kms:Decrypt", "status": 400, "code": "X"});
        for (name, value) in rest.as_object().into_iter().flatten() {
            fault[name] = value.clone();
        }
        fault
    };
    for (fault, complaint) in [
        (json!("no object"), "FaultInput"),
        (json!({"status": 400, "code": "X"}), "action"),
        (error(json!({"action": "Decrypt"})), "Decrypt"),
        (error(json!({"action": "s3:GetObject"})), "s3:GetObject"),
        (error(json!({"status": 200})), "200"),
        (error(json!({"status": "400"})), "string"),
        (error(json!({"code": ""})), "code"),
        (error(json!({"times": 0})), "times"),
        (error(json!({"time": 1})), "time"),
        (json!({"action": "kms:*"}), "status and code"),
        (
            json!({"action": "kms:*", "unprocessed": 1}),
            "BatchWriteItem",
        ),
        (error(json!({"unprocessed": 1})), "does not go with"),
    ] {
        let answer = aws.control(Method::POST, "/faults", fault.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{fault}");
        let wrong = answer.body["error"].as_str().expect("an explanation");
        assert!(wrong.contains(complaint), "{fault}: {wrong}");
    }
}

#[tokio::test]
async fn answers_json_to_paths_and_methods_it_does_not_know() {
    let aws = AwsLocal::start(&[]).await;
    let unknown = aws.control(Method::GET, "/nothing", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.body["error"].is_string());
    let unknown = aws.control(Method::PUT, "/calls", Value::Null).await;
    assert_eq!(unknown.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(unknown.body["error"].is_string());
}
