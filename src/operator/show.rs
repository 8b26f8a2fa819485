//! What an operator sees of one session. Its content is shown only if that is asked for.

use serde::Serialize;

use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::record::{NOT_AFTER, TTL, seconds};
use crate::store::walk::stored_size;
use crate::store::{Belongs, Inspected, SessionStore};
use crate::time::EpochMillis;

/// One session's record.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The session's fingerprint, as in the store's log.
    pub session: String,
    /// The version of the record; 0 if it has none.
    pub version: Option<u32>,
    /// The size of the item, in bytes.
    pub bytes: u64,
    /// When the session ends if nobody uses it, in epoch seconds.
    pub ttl: Option<i64>,
    /// Until when it can live at most before it is sealed again, in epoch seconds (version 2).
    pub not_after: Option<i64>,
    /// Whether it has ended.
    pub ended: bool,
    /// The KMS key that wrapped its data key.
    pub key: Option<String>,
    /// Whether a save of the store would keep the version and the KMS key.
    pub up_to_date: bool,
    /// The length of its content, in bytes of JSON.
    pub content_bytes: Option<u64>,
    /// Why it cannot be read.
    pub unreadable: Option<Unreadable>,
    /// The content, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "revealed")]
    pub content: Option<Plaintext<String>>,
}

/// Why a record cannot be read.
#[derive(Serialize)]
pub struct Unreadable {
    /// The code of the error.
    pub code: &'static str,
    /// What it says.
    pub detail: String,
}

#[allow(clippy::ref_option)] // as serde calls it
fn revealed<S: serde::Serializer>(
    content: &Option<Plaintext<String>>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    content
        .as_ref()
        .map(|json| json.as_str())
        .serialize(serializer)
}

/// Shows the session `sid`; `None` if there is no record of it. Items of other applications are not
/// shown.
///
/// # Errors
/// `ERR_CONFIG` for an unusable id, and those of the table. A failure to open the record is part of
/// the result.
pub async fn show(
    store: &SessionStore,
    sid: &str,
    reveal: bool,
    now: EpochMillis,
) -> Result<Option<Shown>> {
    let key = store.key_of(sid)?;
    let Some(item) = store.table().get(&key).await? else {
        return Ok(None);
    };
    if !matches!(store.belongs(&item), Belongs::Session | Belongs::OtherKind) {
        return Ok(None);
    }
    let end = |name| seconds(&item, name).ok().map(|end| end.0);
    let (ttl, not_after) = (end(TTL), end(NOT_AFTER));
    let bytes = stored_size(&item) as u64;
    let Inspected {
        key,
        version,
        ended,
        record,
    } = store.inspect(item, now);
    let mut shown = Shown {
        session: store.fingerprint(&key),
        version,
        bytes,
        ttl,
        not_after,
        ended,
        key: None,
        up_to_date: false,
        content_bytes: None,
        unreadable: None,
        content: None,
    };
    let opened = async {
        let record = record?;
        let index = store.wrapped_by(&record).await?;
        let name = store.key_encryption_keys().get(index).copied();
        shown.key = name.map(str::to_owned);
        store.opened(record).await
    };
    match opened.await {
        Ok(session) => {
            shown.up_to_date = session.mark.up_to_date;
            shown.content_bytes = Some(session.json.len() as u64);
            shown.content = reveal.then_some(session.json);
        }
        Err(error) => shown.unreadable = Some(unreadable(&error)),
    }
    Ok(Some(shown))
}

fn unreadable(error: &Error) -> Unreadable {
    Unreadable {
        code: error.code(),
        detail: error.to_string(),
    }
}
