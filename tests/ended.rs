//! Sessions that have ended.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;

use connect_dynamodb_kms::key_cache::KeyCache;
use connect_dynamodb_kms::plaintext::Plaintext;
use connect_dynamodb_kms::record::Version;
use connect_dynamodb_kms::session_key::{IdHashing, SessionKeys};
use connect_dynamodb_kms::store::{Known, Lookup, RecordPolicy, Saved, Saving, SessionStore};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use support::{Backend, SetNew, backends, store};

const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_003_600);
/// The moment of that end.
const LATER: EpochMillis = EpochMillis(1_800_003_600_000.0);

fn json(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

/// A store that reads records of its own version alone.
fn reader_of(backend: &Backend, version: Version) -> SessionStore {
    SessionStore::new(
        backend.table.clone(),
        KeyCache::new(backend.keys.clone(), None),
        SessionKeys::new("app:".into(), IdHashing::None),
        RecordPolicy::new(version, vec![version], "sessions".into(), BTreeMap::new()),
        Saving::default(),
    )
}

#[tokio::test]
async fn an_ended_record_of_a_version_that_is_not_accepted_is_no_session() {
    for backend in backends() {
        for (version, accepted) in [(Version::V1, Version::V2), (Version::V2, Version::V1)] {
            let writer = store(&backend, version);
            writer.set("s", json("{}"), NOW, END).await.unwrap();
            let Lookup::Found(session) = writer.get("s", NOW).await.unwrap() else {
                panic!("it lives");
            };
            let known = Known::record(session.mark.unwrap());
            let strict = reader_of(&backend, accepted);
            let code = strict.get("s", NOW).await.err().unwrap().code();
            assert_eq!(code, "ERR_VERSION", "while it lives");
            let found = strict.get("s", LATER).await;
            assert!(matches!(found, Ok(Lookup::Ended)), "{}", backend.name);
            let end = END.plus(3600).into();
            for known in [Known::Nothing, known] {
                let touched = strict.touch("s", LATER, end, known).await;
                assert!(matches!(touched, Ok(Saved::Gone)));
            }
            let record = strict.stored("s").await;
            assert_eq!(
                record.err().unwrap().code(),
                "ERR_VERSION",
                "the record itself"
            );
            assert_eq!(strict.length(LATER).await.unwrap(), 0);
            let new = strict.set("s", json("{}"), LATER, END.plus(3600)).await;
            assert!(matches!(new, Ok(Saved::Written { .. })));
            strict.destroy("s").await.unwrap();
        }
    }
}
