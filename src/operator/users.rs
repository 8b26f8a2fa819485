//! The sessions of a user.

use serde::Deserialize;
use serde_json::Value;

use super::list::{Listed, ListedSession};
use crate::error::Result;
use crate::store::{OpenedSession, SessionStore};
use crate::time::EpochMillis;

/// Where a session has the id of its user: names of properties, from the outermost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct UserPath(Vec<String>);

impl From<String> for UserPath {
    fn from(path: String) -> UserPath {
        UserPath(path.split('.').map(str::to_owned).collect())
    }
}

impl UserPath {
    /// The id of a session's user, as text; `None` if it has none. Numbers count if they are whole.
    #[must_use]
    pub fn user_of(&self, json: &str) -> Option<String> {
        let session: Value = serde_json::from_str(json).ok()?;
        let mut value = &session;
        for name in &self.0 {
            value = value.get(name)?;
        }
        match value {
            Value::String(id) if !id.is_empty() => Some(id.clone()),
            Value::Number(id) => id.as_i64().map(|id| id.to_string()),
            _ => None,
        }
    }
}

/// What to list of a user.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserOptions {
    /// The user id.
    pub user: String,
    /// Where sessions have it. A session that says otherwise is left out: whoever may write the
    /// table can put it on the list.
    pub path: Option<UserPath>,
    /// Shows the ids of the sessions.
    pub ids: bool,
}

/// The live sessions of a user, newest first.
///
/// # Errors
/// Those of [`SessionStore::sessions_of`].
pub async fn list_user(
    store: &SessionStore,
    options: &UserOptions,
    now: EpochMillis,
) -> Result<Listed> {
    let sessions = store.sessions_of(&options.user, now).await?;
    let theirs = |session: &OpenedSession| {
        let said = |path: &UserPath| path.user_of(&session.json) == Some(options.user.clone());
        options.path.as_ref().is_none_or(said)
    };
    let listed = sessions.into_iter().filter(theirs).map(|session| {
        let key = store.key_of(&session.id)?;
        Ok(ListedSession {
            session: store.fingerprint(&key),
            id: options.ids.then_some(session.id),
            version: Some(session.mark.version.number()),
            bytes: None,
            ttl: Some(session.ttl.0),
        })
    });
    Ok(Listed {
        sessions: listed.collect::<Result<_>>()?,
        ..Listed::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_string_or_a_whole_number() {
        let path = UserPath::from("passport.user".to_owned());
        for (json, user) in [
            (r#"{"passport":{"user":"ada"}}"#, Some("ada")),
            (r#"{"passport":{"user":7}}"#, Some("7")),
            (r#"{"passport":{"user":""}}"#, None),
            (r#"{"passport":{"user":7.5}}"#, None),
            (r#"{"passport":{"user":null}}"#, None),
            (r#"{"passport":null}"#, None),
            (r#"{"user":"ada"}"#, None),
            ("nonsense", None),
        ] {
            assert_eq!(path.user_of(json).as_deref(), user, "{json}");
        }
    }
}
