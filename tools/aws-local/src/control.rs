//! The control endpoint: what was called, and what is to fail.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use crate::front::{Effect, Fault, Front};
use crate::reply::{self, Reply};

/// Answers one request of a test.
///
/// # Errors
/// The body could not be read to its end.
pub async fn answer(front: &Front, request: Request<Incoming>) -> Result<Reply, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(match (parts.uri.path(), &parts.method) {
        ("/calls", &Method::GET) => reply::json(StatusCode::OK, &front.counts()),
        ("/calls", &Method::DELETE) => {
            front.forget_calls();
            reply::no_content()
        }
        ("/requests", &Method::GET) => reply::json(StatusCode::OK, &front.requests()),
        ("/faults", &Method::POST) => match read_fault(&body) {
            Ok(fault) => {
                front.add_fault(fault);
                reply::no_content()
            }
            Err(wrong) => reply::json(StatusCode::BAD_REQUEST, &json!({"error": wrong})),
        },
        ("/faults", &Method::DELETE) => {
            front.remove_faults();
            reply::no_content()
        }
        ("/clock", &Method::POST) => match serde_json::from_slice::<ClockInput>(&body) {
            Ok(clock) => {
                front.set_clock(clock.ahead_seconds);
                reply::no_content()
            }
            Err(error) => reply::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": error.to_string()}),
            ),
        },
        (path @ ("/calls" | "/requests" | "/faults" | "/clock"), method) => reply::json(
            StatusCode::METHOD_NOT_ALLOWED,
            &json!({"error": format!("{path} does not take {method}")}),
        ),
        (path, _) => reply::json(
            StatusCode::NOT_FOUND,
            &json!({"error": format!("there is no {path}; try /calls, /requests, /faults or /clock")}),
        ),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClockInput {
    ahead_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultInput {
    action: String,
    containing: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    message: Option<String>,
    times: Option<u32>,
    unprocessed: Option<usize>,
}

/// Reads a fault, or says what is wrong with it.
fn read_fault(body: &[u8]) -> Result<Fault, String> {
    let input: FaultInput = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let name = ["dynamodb:", "kms:", "sts:"]
        .iter()
        .find_map(|service| input.action.strip_prefix(service));
    let is_action = name.is_some_and(|name| {
        name == "*" || (!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()))
    });
    if !is_action {
        return Err(format!(
            "action {:?} is not of the form dynamodb:GetItem or kms:*",
            input.action
        ));
    }
    if input.times == Some(0) {
        return Err("times must be at least 1; leave it out for a lasting fault".to_owned());
    }
    let effect = match (input.unprocessed, input.status, input.code) {
        (Some(writes), None, None) if input.message.is_none() => {
            if input.action != "dynamodb:BatchWriteItem" {
                return Err("unprocessed goes with dynamodb:BatchWriteItem alone".to_owned());
            }
            if writes == 0 {
                return Err("unprocessed must be at least 1".to_owned());
            }
            Effect::HoldBack { writes }
        }
        (Some(_), ..) => {
            return Err("unprocessed does not go with status, code or message".to_owned());
        }
        (None, Some(status @ 400..=599), Some(code)) if !code.is_empty() => Effect::Refuse {
            status: StatusCode::from_u16(status).map_err(|error| error.to_string())?,
            message: input.message.unwrap_or_else(|| "injected".to_owned()),
            code,
        },
        (None, Some(status), Some(_)) if !(400..=599).contains(&status) => {
            return Err(format!("status {status} is not between 400 and 599"));
        }
        (None, ..) => return Err("status and code are needed, or unprocessed".to_owned()),
    };
    Ok(Fault {
        action: input.action,
        containing: input.containing,
        times: input.times,
        effect,
    })
}
