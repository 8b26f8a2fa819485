//! Regions, the making of tables, point-in-time recovery, and the clock.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{AwsLocal, Signer};

fn table() -> Value {
    json!({
        "TableName": "sessions",
        "KeySchema": [{"AttributeName": "sessionId", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "sessionId", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    })
}

fn named() -> Value {
    json!({"TableName": "sessions"})
}

fn recovery(enabled: bool) -> Value {
    json!({"TableName": "sessions", "PointInTimeRecoverySpecification": {
        "PointInTimeRecoveryEnabled": enabled,
    }})
}

#[tokio::test]
async fn has_its_tables_in_one_region() {
    let aws = AwsLocal::start(&["--table", "sessions", "--dynamodb-region", "us-east-1"]).await;
    aws.dynamodb("DescribeTable", named()).await.ok();
    let other = Signer {
        region: "eu-west-1",
        ..Signer::default()
    };
    let refused = aws.dynamodb_as(other, "DescribeTable", named()).await;
    assert_eq!(refused.error(), (400, "ResourceNotFoundException"));
}

#[tokio::test]
async fn takes_a_while_to_make_a_table() {
    let aws = AwsLocal::start(&["--creating", "2"]).await;
    aws.dynamodb("CreateTable", table()).await.ok();
    let ttl = json!({"TableName": "sessions", "TimeToLiveSpecification": {
        "AttributeName": "ttl", "Enabled": true,
    }});
    for _ in 0..2 {
        let refused = aws.dynamodb("UpdateTimeToLive", ttl.clone()).await;
        assert_eq!(refused.error(), (400, "ResourceInUseException"));
        let refused = aws
            .dynamodb("UpdateContinuousBackups", recovery(true))
            .await;
        assert_eq!(
            refused.error(),
            (400, "ContinuousBackupsUnavailableException")
        );
        let described = aws.dynamodb("DescribeTable", named()).await.ok();
        assert_eq!(described["Table"]["TableStatus"], "CREATING");
    }
    let described = aws.dynamodb("DescribeTable", named()).await.ok();
    assert_eq!(described["Table"]["TableStatus"], "ACTIVE");
    aws.dynamodb("UpdateTimeToLive", ttl).await.ok();
}

#[tokio::test]
async fn switches_point_in_time_recovery() {
    let aws = AwsLocal::start(&[]).await;
    let missing = aws.dynamodb("DescribeContinuousBackups", named()).await;
    assert_eq!(missing.error(), (400, "TableNotFoundException"));
    aws.dynamodb("CreateTable", table()).await.ok();
    for (enabled, status) in [(true, "ENABLED"), (false, "DISABLED")] {
        let set = aws.dynamodb("UpdateContinuousBackups", recovery(enabled));
        set.await.ok();
        let described = aws.dynamodb("DescribeContinuousBackups", named()).await;
        let described = &described.ok()["ContinuousBackupsDescription"];
        let own = &described["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"];
        assert_eq!(own, status);
    }
}

#[tokio::test]
async fn refuses_signatures_of_another_time_once_its_clock_is_set() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    // The tests sign at a fixed moment, which only a clock that was set looks at.
    aws.dynamodb("DescribeTable", named()).await.ok();
    let set = json!({"aheadSeconds": 3600});
    let answer = aws.control(Method::POST, "/clock", set).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let refused = aws.dynamodb("DescribeTable", named()).await;
    assert_eq!(refused.error(), (400, "InvalidSignatureException"));
    assert!(refused.headers.contains_key("date"));
    let wrong = aws.control(Method::POST, "/clock", json!({})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn strikes_requests_with_a_text_alone() {
    let aws = AwsLocal::start(&["--table", "sessions"]).await;
    aws.add_fault(json!({
        "action": "dynamodb:DescribeTable",
        "status": 400,
        "code": "AccessDeniedException",
        "containing": "\"others\"",
    }))
    .await;
    aws.dynamodb("DescribeTable", named()).await.ok();
    let other = aws.dynamodb("DescribeTable", json!({"TableName": "others"}));
    assert_eq!(other.await.error(), (400, "AccessDeniedException"));
}
