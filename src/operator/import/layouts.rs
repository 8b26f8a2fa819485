//! How other stores lay their sessions out.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::SourceItem;
use super::moments::iso;
use crate::error::{Error, Result};
use crate::time::EpochMillis;

/// The layout of another store's items.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    /// The partition key of its table.
    pub key: String,
    /// What its keys start with. Items with other keys are not its sessions.
    pub prefix: String,
}

/// The attribute with the session, in both stores.
const SESSION: &str = "sess";
/// The attribute with the end, in epoch seconds. connect-dynamodb writes fractions, too.
const EXPIRES: &str = "expires";

/// A session of another store.
#[derive(Debug)]
pub struct Found {
    /// The session id.
    pub sid: String,
    /// The session's JSON.
    pub json: String,
    /// When it ends, if the store says so.
    pub expires: Option<EpochMillis>,
}

impl Layout {
    /// The session in an item, and its key; `None` if the item is none. connect-dynamodb keeps the
    /// session as JSON, dynamodb-store as a map.
    #[must_use]
    pub fn read(&self, mut item: SourceItem) -> Option<(String, Result<Found>)> {
        let key = item.get(&self.key)?.as_str()?.to_owned();
        let sid = key.strip_prefix(&self.prefix)?.to_owned();
        let seconds = item.get(EXPIRES).and_then(Value::as_f64);
        // Both stores end a session at the whole second.
        let expires = seconds.map(|seconds| EpochMillis(seconds.floor() * 1000.0));
        let json = match item.remove(SESSION)? {
            Value::String(json) => session_json(json),
            Value::Object(session) => Ok(of_dynamodb_store(session, expires)),
            _ => return None,
        };
        let found = json.map(|json| Found { sid, json, expires });
        Some((key, found))
    }
}

/// Text that must be a session's JSON.
pub(super) fn session_json(json: String) -> Result<String> {
    match serde_json::from_str::<&RawValue>(&json) {
        Ok(value) if value.get().starts_with('{') => Ok(json),
        _ => Err(no_session()),
    }
}

/// dynamodb-store spreads the session, with the cookie's inner properties. Its AWS SDK turns the
/// `Date` of the end into an empty map, so the item's own end stands in for it.
fn of_dynamodb_store(mut session: SourceItem, expires: Option<EpochMillis>) -> String {
    session.remove("updated");
    if let Some(Value::Object(cookie)) = session.get_mut("cookie") {
        cookie.remove("_expires");
        let ends = cookie
            .get("originalMaxAge")
            .is_some_and(|age| age.as_f64().is_some());
        let end = expires.filter(|_| ends).map(|end| iso(end.floor()));
        cookie.insert("expires".into(), json!(end));
    }
    Value::Object(session).to_string()
}

pub(super) fn no_session() -> Error {
    Error::Serialization("it is not the JSON of a session: an object is needed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(value: Value) -> SourceItem {
        match value {
            Value::Object(item) => item,
            other => panic!("{other}"),
        }
    }

    fn layout() -> Layout {
        Layout {
            key: "id".into(),
            prefix: "sess:".into(),
        }
    }

    #[test]
    fn connect_dynamodb_keeps_json() {
        let json = r#"{"cookie":{"originalMaxAge":null},"user":"\ud800"}"#;
        let read = layout().read(item(json!({
            "id": "sess:abc", "expires": 1_800_000_000.7, "type": "connect-session", "sess": json
        })));
        let (key, found) = read.unwrap();
        let found = found.unwrap();
        assert_eq!((key.as_str(), found.sid.as_str()), ("sess:abc", "abc"));
        assert_eq!(found.json, json);
        assert_eq!(found.expires, Some(EpochMillis(1_800_000_000_000.0)));
    }

    #[test]
    fn dynamodb_store_keeps_a_map_without_the_end_of_the_cookie() {
        let read = layout().read(item(json!({
            "id": "sess:abc", "expires": 1_800_000_000,
            "sess": {
                "cookie": { "originalMaxAge": 60000, "_expires": {}, "path": "/" },
                "updated": 1_799_999_940_000_i64, "user": "Ada"
            }
        })));
        let session: Value = serde_json::from_str(&read.unwrap().1.unwrap().json).unwrap();
        let cookie = json!({
            "originalMaxAge": 60000, "path": "/", "expires": "2027-01-15T08:00:00.000Z"
        });
        assert_eq!(session, json!({ "cookie": cookie, "user": "Ada" }));
    }

    #[test]
    fn a_cookie_without_an_end_stays_so() {
        let read = layout().read(item(json!({
            "id": "sess:abc", "expires": 1_800_000_000,
            "sess": { "cookie": { "originalMaxAge": null, "_expires": null } }
        })));
        let session: Value = serde_json::from_str(&read.unwrap().1.unwrap().json).unwrap();
        assert_eq!(session["cookie"]["expires"], Value::Null);
    }

    #[test]
    fn other_items_are_no_sessions() {
        for other in [
            json!({ "id": "lock:abc", "sess": "{}" }),
            json!({ "id": 7, "sess": "{}" }),
            json!({ "key": "sess:abc", "sess": "{}" }),
            json!({ "id": "sess:abc" }),
            json!({ "id": "sess:abc", "sess": 7 }),
        ] {
            assert!(layout().read(item(other)).is_none());
        }
        for broken in ["", "[1]", "nonsense", "7", "{\"a\":"] {
            let read = layout().read(item(json!({ "id": "sess:abc", "sess": broken })));
            let error = read.unwrap().1.unwrap_err();
            assert_eq!(error.code(), "ERR_SERIALIZATION", "{broken}");
        }
    }
}
