//! `--access-key-id`, and credentials from the own STS.

use serde_json::json;

use crate::support::{ACCESS_KEY_ID, Answer, AwsLocal, Signer};

const STRANGER: Signer<'_> = Signer {
    access_key_id: "AKIDSTRANGER",
    session_token: None,
    region: "us-east-1",
};

#[tokio::test]
async fn refuses_other_access_keys_as_each_service_does() {
    let aws = AwsLocal::start(&["--access-key-id", ACCESS_KEY_ID]).await;
    aws.dynamodb("ListTables", json!({})).await.ok();
    aws.kms("ListKeys", json!({})).await.ok();

    let refused = aws.dynamodb_as(STRANGER, "ListTables", json!({})).await;
    assert_eq!(refused.error(), (400, "UnrecognizedClientException"));
    let message = "The security token included in the request is invalid.";
    assert_eq!(refused.body["message"], message);
    let refused = aws.kms_as(STRANGER, "ListKeys", json!({})).await;
    assert_eq!(refused.error(), (400, "UnrecognizedClientException"));
    assert_eq!(refused.body["message"], message);
    let refused = aws.sts_as(STRANGER, "Action=GetCallerIdentity").await;
    assert_eq!(refused.status, 403);
    assert_eq!(element(&refused, "Code"), "InvalidClientTokenId");

    assert_eq!(aws.calls().await["kms:ListKeys"], 2);
}

#[tokio::test]
async fn takes_any_access_key_unless_told() {
    let aws = AwsLocal::start(&[]).await;
    aws.dynamodb_as(STRANGER, "ListTables", json!({}))
        .await
        .ok();
}

#[tokio::test]
async fn takes_assumed_credentials_with_their_token_until_they_expire() {
    let aws = AwsLocal::start(&["--access-key-id", ACCESS_KEY_ID]).await;
    let assume = |seconds: u32| {
        format!(
            "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A232282424912%3Arole%2Fstore\
             &RoleSessionName=test&DurationSeconds={seconds}"
        )
    };
    let refused = aws.sts_as(STRANGER, &assume(900)).await;
    assert_eq!(refused.status, 403);

    let issued = aws.sts_as(Signer::default(), &assume(900)).await;
    assert_eq!(issued.status, 200);
    assert_eq!(
        element(&issued, "Arn"),
        "arn:aws:sts::232282424912:assumed-role/store/test"
    );
    let signer = Signer {
        access_key_id: element(&issued, "AccessKeyId"),
        session_token: Some(element(&issued, "SessionToken")),
        region: "us-east-1",
    };
    aws.kms_as(signer, "ListKeys", json!({})).await.ok();
    aws.dynamodb_as(signer, "ListTables", json!({})).await.ok();
    let without_token = Signer {
        session_token: None,
        ..signer
    };
    let refused = aws.kms_as(without_token, "ListKeys", json!({})).await;
    assert_eq!(refused.error(), (400, "UnrecognizedClientException"));

    let expired = aws.sts_as(Signer::default(), &assume(0)).await;
    let signer = Signer {
        access_key_id: element(&expired, "AccessKeyId"),
        session_token: Some(element(&expired, "SessionToken")),
        region: "us-east-1",
    };
    let refused = aws.kms_as(signer, "ListKeys", json!({})).await;
    assert_eq!(refused.error(), (400, "ExpiredTokenException"));
}

fn element<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let xml = answer.body.as_str().expect("XML");
    let (_, rest) = xml.split_once(&format!("<{name}>")).expect("the element");
    rest.split_once("</").expect("its end").0
}
