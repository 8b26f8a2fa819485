//! The store over a table in memory and data keys from memory: what a call costs here is the store's own work.

#![allow(dead_code)] // each program uses a part
#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod memory;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use connect_dynamodb_kms::crypto::data_key::DataKey;
use connect_dynamodb_kms::crypto::envelope::{Aad, BoundSeal, open_bound, seal_bound};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::keys::cache::{KeyCache, Limits};
use connect_dynamodb_kms::keys::{DataKeys, EncryptionContext};
use connect_dynamodb_kms::record::mark::Mark;
use connect_dynamodb_kms::record::partition_key::{IdHashing, PartitionKeys};
use connect_dynamodb_kms::record::{EncryptedSessionRecord, Item, Version};
use connect_dynamodb_kms::store::session_table::SessionTable;
use connect_dynamodb_kms::store::{
    Attempt, Known, Lookup, OpenedSession, RecordPolicy, Save, Saved, Saving, SessionStore,
    SessionUser,
};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use futures_util::FutureExt;

use self::memory::{MemoryKeys, MemoryTable};

const SID: &str = "iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A";
const PREFIX: &str = "app:";
const KEY: &str = "app:iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A";
const TABLE: &str = "sessions";
const NOW: EpochMillis = EpochMillis(1_800_000_000_000.0);
const END: EpochSeconds = EpochSeconds(1_800_604_800);

/// Bytes of the session's JSON.
const SIZE: usize = 2000;

const AAD: Aad<'static> = Aad {
    not_after: EpochSeconds(1_801_209_600),
    table: TABLE,
    key: KEY,
};

/// One operation of the hot path.
pub(crate) type Operation = fn(&mut Scene);

/// The operations by their names.
pub(crate) const OPERATIONS: [(&str, Operation); 8] = [
    ("seal 2 kB", Scene::seal),
    ("open 2 kB", Scene::open),
    ("record to item", Scene::write_record),
    ("record from item", Scene::read_record),
    ("cache hit", Scene::hit_cache),
    ("warm get of 2 kB", Scene::get),
    ("unchanged save of 2 kB", Scene::save_unchanged),
    ("changed save of 2 kB", Scene::save_changed),
];

/// A session in the table whose data key is cached, and all that the operations take.
pub(crate) struct Scene {
    store: SessionStore,
    cache: KeyCache,
    context: Arc<EncryptionContext>,
    data_key: DataKey,
    bound: BoundSeal,
    record: EncryptedSessionRecord,
    item: Item,
    /// What the session held at first, and what it holds after every other changed save.
    contents: [Vec<u8>; 2],
    saves: usize,
    /// Of the record that is in the table.
    mark: Mark,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let table = Arc::new(MemoryTable::default());
        let keys: Arc<dyn DataKeys> = Arc::new(MemoryKeys);
        let contents = [session("reader"), session("writer")];
        let store = store(table.clone(), keys.clone());
        // Loads of data keys run as tasks of their own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let first = store.save(save(&contents[0]), Known::Nothing, store.on_conflict());
        let first = runtime.block_on(first);
        let Ok(Saved::Written { mark, .. }) = first else {
            panic!("a new session is written");
        };
        let item = now(table.get(KEY)).unwrap().unwrap();
        let record = EncryptedSessionRecord::from_item(item.clone()).unwrap();

        let cache = KeyCache::new(keys.clone(), Some(Limits::DEFAULT));
        let context = Arc::new(EncryptionContext::new(BTreeMap::from(
            [("purpose", "session-store"), ("table", TABLE), ("v", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        )));
        let since = cache.since();
        let read = cache.for_read(KEY, &record.wrapped_key, &context, &since);
        runtime.block_on(read).unwrap();

        let (data_key, _) = now(keys.generate(&context)).unwrap();
        let bound = seal_bound(&data_key, Plaintext::new(contents[0].clone()), &AAD);
        Scene {
            store,
            cache,
            context,
            data_key,
            bound,
            record,
            item,
            contents,
            saves: 0,
            mark,
        }
    }

    fn seal(&mut self) {
        let payload = Plaintext::new(self.contents[0].clone());
        black_box(seal_bound(&self.data_key, payload, &AAD));
    }

    fn open(&mut self) {
        black_box(open_bound(&self.data_key, self.bound.clone(), &AAD).unwrap());
    }

    fn write_record(&mut self) {
        black_box(self.record.to_item());
    }

    /// With a copy of the item, which is taken apart.
    fn read_record(&mut self) {
        black_box(EncryptedSessionRecord::from_item(self.item.clone()).unwrap());
    }

    fn hit_cache(&mut self) {
        let since = self.cache.since();
        let (wrapped, context) = (&self.record.wrapped_key, &self.context);
        let found = self.cache.for_read(KEY, wrapped, context, &since);
        black_box(now(found).unwrap());
    }

    fn get(&mut self) {
        black_box(self.read());
    }

    /// What a rolling request does that changes nothing, in the minute after the last one: it is compared, and nothing is sent.
    fn save_unchanged(&mut self) {
        let known = Known::record(self.mark.clone());
        let content = &self.contents[self.saves % 2];
        let saved = now(self
            .store
            .save(save(content), known, self.store.on_conflict()));
        assert!(matches!(saved, Ok(Saved::Unchanged(_))));
    }

    fn save_changed(&mut self) {
        self.saves += 1;
        let known = Known::record(self.mark.clone());
        let content = &self.contents[self.saves % 2];
        let saved = now(self
            .store
            .save(save(content), known, self.store.on_conflict()));
        let Ok(Saved::Written {
            mark,
            conflict: false,
        }) = saved
        else {
            panic!("a changed session is written");
        };
        self.mark = mark;
    }

    fn read(&self) -> OpenedSession {
        match now(self.store.get(SID, NOW)) {
            Ok(Lookup::Found(session)) => session,
            _ => panic!("the session is there"),
        }
    }

    /// # Panics
    /// If the operations did not do what they are counted for.
    pub(crate) fn check(&self) {
        assert_eq!(
            self.read().json.as_bytes(),
            self.contents[self.saves % 2],
            "the session holds what was saved last"
        );
        let stats = self.store.cache_counters().read();
        assert_eq!(stats.loads, 1, "one data key served every operation");
        assert_eq!(self.cache.counters().read().loads, 1);
    }
}

fn store(table: Arc<dyn SessionTable>, keys: Arc<dyn DataKeys>) -> SessionStore {
    SessionStore::new(
        table,
        KeyCache::new(keys, Some(Limits::DEFAULT)),
        PartitionKeys::new(PREFIX.into(), IdHashing::None),
        RecordPolicy::new(
            Version::V2,
            vec![Version::V1, Version::V2],
            TABLE.into(),
            BTreeMap::new(),
        ),
        Saving::default(),
    )
}

fn save(content: &[u8]) -> Save {
    Save {
        sid: SID.into(),
        json: Plaintext::new(content.to_vec()),
        now: NOW,
        end: END.into(),
        user: SessionUser::Unasked,
        attempt: Attempt::default(),
    }
}

/// A session's JSON, mostly tokens. Sessions of different roles are equally long.
fn session(role: &str) -> Vec<u8> {
    let letters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').cycle();
    let token = |length| -> String { letters.clone().take(length).map(char::from).collect() };
    let start = format!(
        r#"{{"cookie":{{"originalMaxAge":604800000,"expires":"2027-01-22T08:00:00.000Z","httpOnly":true,"path":"/","secure":true}},"user":"ada","roles":["{role}"],"grants":{{"provider":{{"access_token":"{}","expires_at":"2099-01-01T00:00:00.000Z","refresh_token":""#,
        token(900)
    );
    let end = r#""}}}"#;
    format!("{start}{}{end}", token(SIZE - start.len() - end.len())).into_bytes()
}

/// Nothing here waits for anything.
fn now<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("a result without waiting")
}
