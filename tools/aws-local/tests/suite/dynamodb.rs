//! What the store needs of DynamoDB.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::AwsLocal;

async fn start() -> AwsLocal {
    AwsLocal::start(&["--table", "sessions"]).await
}

/// An input for the table and session `id`, with the fields of `rest`.
fn on(id: &str, rest: &Value) -> Value {
    let mut input = json!({"TableName": "sessions", "Key": {"sessionId": {"S": id}}});
    for (name, value) in rest.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    input
}

fn put(id: &str, bytes: usize) -> Value {
    let data = "x".repeat(bytes);
    let item = json!({"sessionId": {"S": id}, "ttl": {"N": "5"}, "data": {"S": data}});
    json!({"TableName": "sessions", "Item": item})
}

#[tokio::test]
async fn makes_the_session_table_and_hands_on_the_engines_headers() {
    let aws = start().await;
    let table = json!({"TableName": "sessions"});
    let answer = aws.dynamodb("DescribeTable", table).await;
    for header in ["x-amzn-requestid", "x-amz-crc32"] {
        assert!(answer.headers.contains_key(header), "{header}");
    }
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.0");
    let table = &answer.body["Table"];
    assert_eq!(table["TableStatus"], "ACTIVE");
    let key = json!([{"AttributeName": "sessionId", "KeyType": "HASH"}]);
    assert_eq!(table["KeySchema"], key);
    let billing = &table["BillingModeSummary"]["BillingMode"];
    assert_eq!(billing, "PAY_PER_REQUEST");
}

#[tokio::test]
async fn checks_conditions_and_hands_back_what_failed_them() {
    let aws = start().await;
    let mut new = put("a", 1);
    new["ConditionExpression"] = json!("attribute_not_exists(sessionId)");
    new["ReturnValuesOnConditionCheckFailure"] = json!("ALL_OLD");
    aws.dynamodb("PutItem", new.clone()).await.ok();
    let failed = aws.dynamodb("PutItem", new).await;
    assert_eq!(failed.error(), (400, "ConditionalCheckFailedException"));
    assert_eq!(failed.body["Item"]["ttl"]["N"], "5");

    let touch = |expected: &str| {
        json!({
            "UpdateExpression": "SET #t = :new",
            "ConditionExpression": "#t = :old",
            "ExpressionAttributeNames": {"#t": "ttl"},
            "ExpressionAttributeValues": {":new": {"N": "6"}, ":old": {"N": expected}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            "ReturnValues": "ALL_NEW",
        })
    };
    let failed = aws.dynamodb("UpdateItem", on("a", &touch("9"))).await;
    assert_eq!(failed.error(), (400, "ConditionalCheckFailedException"));
    assert_eq!(failed.body["Item"]["ttl"]["N"], "5");
    let updated = aws.dynamodb("UpdateItem", on("a", &touch("5"))).await.ok();
    assert_eq!(updated["Attributes"]["ttl"]["N"], "6");

    let guarded = json!({"ConditionExpression": "attribute_exists(nothing)"});
    let failed = aws.dynamodb("DeleteItem", on("a", &guarded)).await;
    assert_eq!(failed.error(), (400, "ConditionalCheckFailedException"));
    let old = json!({"ReturnValues": "ALL_OLD"});
    let deleted = aws.dynamodb("DeleteItem", on("a", &old)).await.ok();
    assert_eq!(deleted["Attributes"]["sessionId"]["S"], "a");
    let gone = aws.dynamodb("GetItem", on("a", &json!({}))).await.ok();
    assert_eq!(gone, json!({}));
}

#[tokio::test]
async fn scans_by_pages_of_a_megabyte_with_filter_and_projection() {
    let aws = start().await;
    for index in 0..25 {
        let item = put(&format!("s{index}"), 100_000);
        aws.dynamodb("PutItem", item).await.ok();
    }
    aws.dynamodb("PutItem", put("other", 1)).await.ok();
    let mut scan = json!({
        "TableName": "sessions",
        "ProjectionExpression": "sessionId",
        "FilterExpression": "begins_with(sessionId, :s)",
        "ExpressionAttributeValues": {":s": {"S": "s"}},
    });
    let mut found = HashSet::new();
    let mut pages = 0;
    loop {
        let page = aws.dynamodb("Scan", scan.clone()).await.ok();
        pages += 1;
        for item in page["Items"].as_array().expect("items") {
            assert_eq!(item.as_object().map(serde_json::Map::len), Some(1));
            found.insert(item["sessionId"]["S"].to_string());
        }
        if page["LastEvaluatedKey"].is_null() {
            break;
        }
        scan["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
    }
    assert_eq!(found.len(), 25);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn refuses_what_does_not_fit_the_table() {
    let aws = start().await;
    let elsewhere = json!({"TableName": "nowhere", "Key": {"sessionId": {"S": "a"}}});
    let refused = aws.dynamodb("GetItem", elsewhere).await;
    assert_eq!(refused.error(), (400, "ResourceNotFoundException"));

    let wrong_key = json!({"TableName": "sessions", "Key": {"id": {"S": "a"}}});
    let refused = aws.dynamodb("GetItem", wrong_key).await;
    assert_eq!(refused.error(), (400, "ValidationException"));

    let refused = aws.dynamodb("PutItem", put("a", 400 * 1024)).await;
    assert_eq!(refused.error(), (400, "ValidationException"));
    aws.dynamodb("PutItem", put("a", 399 * 1024)).await.ok();
}

#[tokio::test]
async fn sets_time_to_live_once() {
    let aws = start().await;
    let set = |attribute: &str, enabled: bool| {
        json!({"TableName": "sessions", "TimeToLiveSpecification": {
            "AttributeName": attribute, "Enabled": enabled,
        }})
    };
    aws.dynamodb("UpdateTimeToLive", set("ttl", true))
        .await
        .ok();
    for (again, message) in [
        (set("ttl", true), "TimeToLive is already enabled"),
        (set("expires", true), "current AttributeName is ttl"),
    ] {
        let refused = aws.dynamodb("UpdateTimeToLive", again).await;
        assert_eq!(refused.error(), (400, "ValidationException"));
        let said = refused.body["message"].as_str().expect("a message");
        assert!(said.contains(message), "{said}");
    }
    aws.dynamodb("UpdateTimeToLive", set("ttl", false))
        .await
        .ok();
    let refused = aws.dynamodb("UpdateTimeToLive", set("ttl", false)).await;
    assert_eq!(refused.error(), (400, "ValidationException"));
}
