//! Sessions as JSON lines: `{"sid": "…", "session": {…}, "expires": 1800000000}`.

use std::sync::{Mutex, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::layouts::{Found, no_session, session_json};
use super::moments::parse_iso;
use super::{ImportReport, Importing};
use crate::error::{Error, Result};
use crate::operator::pace::Pace;
use crate::operator::run::{Ran, Run};
use crate::operator::users::UserPath;
use crate::operator::walking::each_item;
use crate::store::{Lifetime, SessionStore};
use crate::time::EpochMillis;

/// How to take lines over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineOptions {
    /// Some lines of the file, each with its number.
    pub lines: Vec<(u64, String)>,
    /// How many write units are used in a second at most.
    pub write_units_per_second: Option<f64>,
    /// How many sessions are written at the same time.
    pub at_once: usize,
    /// Only counts what would be written.
    pub dry_run: bool,
    /// Names sessions by their ids instead of fingerprints.
    pub ids: bool,
    /// Where sessions have the id of their user, if the store lists users.
    pub users: Option<UserPath>,
}

#[derive(Deserialize)]
struct Line<'a> {
    sid: String,
    #[serde(borrow)]
    session: &'a RawValue,
    /// Epoch seconds.
    expires: Option<serde_json::Value>,
}

/// What is larger is not in seconds: they reach this in the year 5138, milliseconds did in 1973.
const MILLISECONDS: f64 = 1e11;

/// The part of a session that says when it ends.
#[derive(Deserialize)]
struct Ends {
    cookie: Option<Cookie>,
}

#[derive(Deserialize)]
struct Cookie {
    expires: Option<String>,
}

/// Takes some lines over. The caller brings them one batch after the other. The bound on write
/// units of the first batch holds for all batches with the same `pace`.
pub async fn import_lines(
    run: &Run,
    store: &SessionStore,
    lifetime: Lifetime,
    pace: &OnceLock<Pace>,
    options: LineOptions,
    now: impl Fn() -> EpochMillis + Send + Sync,
) -> ImportReport {
    let first = pace.get().is_none();
    let importing = Importing {
        run,
        store,
        lifetime,
        pace: pace.get_or_init(|| Pace::new(options.write_units_per_second)),
        dry_run: options.dry_run,
        ids: options.ids,
        users: options.users.as_ref(),
        report: Mutex::default(),
    };
    let work = async || -> Ran<()> {
        let now = &now;
        let importing = &importing;
        if first {
            run.patiently(|| store.ping()).await?;
        }
        each_item(
            run,
            options.lines,
            options.at_once,
            move |(number, line)| async move {
                match parse(&line) {
                    Err(error) => importing.unread(number, &error),
                    found => importing.take_over(found, None, now()).await?,
                }
                importing.run.progress.advance(1);
                Ok(())
            },
        )
        .await
    };
    let ended = work().await;
    importing.report(ended)
}

fn parse(line: &str) -> Result<Found> {
    let Ok(Line {
        sid,
        session,
        expires,
    }) = serde_json::from_str(line)
    else {
        return Err(Error::Serialization(
            "a line must be {\"sid\": \"…\", \"session\": {…}, \"expires\": SECONDS}".into(),
        ));
    };
    // The session, or its JSON as a string.
    let json = if session.get().starts_with('"') {
        serde_json::from_str(session.get()).map_err(|_| no_session())?
    } else {
        session.get().to_owned()
    };
    let json = session_json(json)?;
    let expires = match expires.map(|expires| expires.as_f64()) {
        None => cookie_end(&json)?,
        Some(Some(seconds)) if seconds < MILLISECONDS => Some(EpochMillis(seconds * 1000.0)),
        Some(_) => {
            let detail = "expires must be epoch seconds, such as 1800000000 (not milliseconds)";
            return Err(Error::Serialization(detail.into()));
        }
    };
    Ok(Found { sid, json, expires })
}

/// When the cookie of a session ends, if it says so.
fn cookie_end(json: &str) -> Result<Option<EpochMillis>> {
    let ends = serde_json::from_str::<Ends>(json).ok();
    let Some(text) = ends.and_then(|ends| ends.cookie?.expires) else {
        return Ok(None);
    };
    // A session whose end is not understood would live for days too long.
    parse_iso(&text).map(Some).ok_or_else(|| {
        Error::Serialization(
            "cookie.expires must be as Date.toISOString writes it, such as 2027-01-15T08:00:00.000Z; or give expires in epoch seconds"
                .into(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_session_or_its_json() {
        for line in [
            r#"{"sid":"a","session":{"n":1},"expires":1800000000.5}"#,
            r#"{"sid":"a","session":"{\"n\":1}","expires":1800000000.5}"#,
        ] {
            let found = parse(line).unwrap();
            assert_eq!(
                (found.sid.as_str(), found.json.as_str()),
                ("a", "{\"n\":1}")
            );
            assert_eq!(found.expires, Some(EpochMillis(1_800_000_000_500.0)));
        }
        assert_eq!(parse(r#"{"sid":"a","session":{}}"#).unwrap().expires, None);
        let line = r#"{"sid":"a","session":{"cookie":{"expires":"2027-01-15T08:00:00.000Z"}}}"#;
        let end = Some(EpochMillis(1_800_000_000_000.0));
        assert_eq!(parse(line).unwrap().expires, end);
    }

    #[test]
    fn a_line_without_a_session_is_refused() {
        for line in [
            "",
            "{}",
            r#"{"sid":"a"}"#,
            r#"{"sid":"a","session":[1]}"#,
            r#"{"sid":"a","session":"nonsense"}"#,
            r#"{"sid":7,"session":{}}"#,
            r#"{"sid":"a","session":{},"expires":"soon"}"#,
            r#"{"sid":"a","session":{},"expires":1800000000000}"#,
            r#"{"sid":"a","session":{"cookie":{"expires":"2027-01-15T08:00:00Z"}}}"#,
            r#"{"sid":"a","session":{"cookie":{"expires":"Fri, 15 Jan 2027 08:00:00 GMT"}}}"#,
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.code(), "ERR_SERIALIZATION", "{line}");
        }
    }
}
