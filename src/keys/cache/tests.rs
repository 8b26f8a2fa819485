mod loads;
mod wiping;

use std::collections::BTreeMap;
use std::future::{pending, poll_fn, ready};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, Weak};
use std::task::Poll;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::*;
use crate::error::{Error, Kind, Service, ServiceError};

/// Wraps by counting; unwraps when `gate` lets it, unless it is told to fail.
struct Counting {
    generated: AtomicUsize,
    decrypted: AtomicUsize,
    gate: Semaphore,
    failure: Mutex<Option<Error>>,
    panics: AtomicBool,
}

impl Counting {
    fn new(gate: usize) -> Arc<Counting> {
        Arc::new(Counting {
            generated: AtomicUsize::new(0),
            decrypted: AtomicUsize::new(0),
            gate: Semaphore::new(gate),
            failure: Mutex::new(None),
            panics: AtomicBool::new(false),
        })
    }

    fn fail(&self, failure: Option<Error>) {
        *self.failure.lock().unwrap() = failure;
    }

    fn calls(&self) -> (usize, usize) {
        (
            self.generated.load(Ordering::SeqCst),
            self.decrypted.load(Ordering::SeqCst),
        )
    }
}

#[async_trait]
impl DataKeys for Counting {
    fn key_encryption_keys(&self) -> Vec<&str> {
        vec!["new", "old"]
    }

    async fn generate(&self, _: &EncryptionContext) -> Result<(DataKey, WrappedKey)> {
        let number = self.generated.fetch_add(1, Ordering::SeqCst);
        let bytes = vec![u8::try_from(number % 256).unwrap(); 32];
        Ok((
            DataKey::new(Zeroizing::new(bytes))?,
            WrappedKey(number.to_be_bytes().to_vec()),
        ))
    }

    async fn decrypt(
        &self,
        wrapped: &WrappedKey,
        _: &EncryptionContext,
    ) -> Result<(DataKey, usize)> {
        self.decrypted.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        assert!(!self.panics.load(Ordering::SeqCst), "as the test wants it");
        if let Some(failure) = self.failure.lock().unwrap().clone() {
            return Err(failure);
        }
        let key = DataKey::new(Zeroizing::new(vec![*wrapped.0.last().unwrap(); 32]))?;
        // A wrapped key that begins with 99 is of the old key encryption key.
        Ok((key, usize::from(wrapped.0[0] == 99)))
    }
}

/// A cache whose clock the test turns.
struct Turned {
    cache: KeyCache,
    clock: Clock,
    seconds: Mutex<f64>,
}

impl std::ops::Deref for Turned {
    type Target = KeyCache;
    fn deref(&self) -> &KeyCache {
        &self.cache
    }
}

impl Turned {
    fn new(keys: &Arc<Counting>, limits: Limits) -> Turned {
        let clock = Clock::default();
        Turned {
            cache: KeyCache::with(keys.clone(), Some(limits), None, clock.clone()),
            clock,
            seconds: Mutex::new(0.0),
        }
    }

    /// Sets the clock to so many seconds after the start.
    fn at(&self, seconds: f64) {
        let mut so_far = self.seconds.lock().unwrap();
        self.clock.turn(Duration::from_secs_f64(seconds - *so_far));
        *so_far = seconds;
    }
}

fn context() -> Arc<EncryptionContext> {
    Arc::default()
}

fn unavailable() -> Error {
    ServiceError::new(Service::Kms, "kms:Decrypt", Kind::Unavailable).into()
}

fn disabled() -> Error {
    ServiceError::new(Service::Kms, "kms:Decrypt", Kind::KeyUnusable).into()
}

fn cache(keys: &Arc<Counting>) -> Turned {
    Turned::new(keys, Limits::DEFAULT)
}

async fn save(cache: &KeyCache, session: &str) -> (Arc<DataKey>, WrappedKey) {
    let since = cache.since();
    cache
        .for_save(session, &context(), 100, &since)
        .await
        .unwrap()
}

/// Reads the session that has the same name as its wrapped key.
async fn read(cache: &KeyCache, wrapped: &WrappedKey) -> Result<Arc<DataKey>> {
    read_since(cache, wrapped, &cache.since()).await
}

async fn read_since(cache: &KeyCache, wrapped: &WrappedKey, since: &Since) -> Result<Arc<DataKey>> {
    let (name, context) = (name(wrapped), context());
    let read = cache.for_read(&name, wrapped, &context, since).await;
    read.map(|(key, _)| key)
}

fn name(wrapped: &WrappedKey) -> String {
    format!("{:?}", wrapped.0)
}

/// Polls a future once; gives whether it waits.
async fn waits(mut future: impl Future + Unpin) -> bool {
    poll_fn(|context| Poll::Ready(pin!(&mut future).poll(context).is_pending())).await
}

/// Lets the tasks that the cache has spawned run until they wait.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_keeps_its_data_key_through_its_saves_and_reads() {
    let keys = Counting::new(1);
    let cache = cache(&keys);
    let (_, first) = save(&cache, "a").await;
    let (_, second) = save(&cache, "a").await;
    assert_eq!(first, second);
    read(&cache, &first).await.unwrap();
    assert_eq!(keys.calls(), (1, 0));
    let stats = cache.counters().read();
    assert_eq!((stats.hits, stats.misses, stats.loads), (2, 1, 1));
}

#[tokio::test]
async fn two_sessions_never_share_a_data_key() {
    let cache = cache(&Counting::new(1));
    let (a, _) = save(&cache, "a").await;
    let (b, _) = save(&cache, "b").await;
    assert_ne!(a.bytes(), b.bytes());
}

#[tokio::test]
async fn two_contexts_never_share_a_data_key() {
    let keys = Counting::new(2);
    let cache = cache(&keys);
    let other = Arc::new(EncryptionContext::new(BTreeMap::from([(
        "v".into(),
        "2".into(),
    )])));
    let (_, first) = save(&cache, "a").await;
    let (_, second) = cache
        .for_save("a", &other, 100, &cache.since())
        .await
        .unwrap();
    assert_ne!(first, second);
    cache
        .for_read("a", &first, &other, &cache.since())
        .await
        .unwrap();
    assert_eq!(
        keys.calls(),
        (2, 1),
        "a key cached for one context must be unwrapped for another"
    );
}

#[tokio::test]
async fn without_the_cache_every_save_and_read_asks() {
    let keys = Counting::new(9);
    let cache = KeyCache::new(keys.clone(), None);
    let (_, wrapped) = save(&cache, "a").await;
    save(&cache, "a").await;
    read(&cache, &wrapped).await.unwrap();
    read(&cache, &wrapped).await.unwrap();
    assert_eq!(keys.calls(), (2, 2));
}

#[tokio::test]
async fn a_save_after_a_read_takes_the_key_that_was_read() {
    let keys = Counting::new(1);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![9]);
    read(&cache, &wrapped).await.unwrap();
    cache.remember("a", &context(), &wrapped, &cache.since());
    assert_eq!(save(&cache, "a").await.1, wrapped);
    assert_eq!(keys.calls(), (0, 1));
}

#[tokio::test]
async fn a_forgotten_session_gets_a_new_key_and_its_old_one_must_be_unwrapped_again() {
    let keys = Counting::new(9);
    let cache = cache(&keys);
    let (_, old) = save(&cache, "a").await;
    cache.forget("a", &context());
    assert_ne!(save(&cache, "a").await.1, old);
    read(&cache, &old).await.unwrap();
    assert_eq!(keys.calls(), (2, 1));
}

#[tokio::test]
async fn a_key_leaves_at_its_age_however_often_it_is_used() {
    let keys = Counting::new(9);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![9]);
    save(&cache, "b").await;
    for second in [0.0, 1000.0, 2000.0, 3200.0] {
        cache.at(second);
        read(&cache, &wrapped).await.unwrap();
    }
    settle().await;
    let before = keys.calls().1;
    let (_, old) = save(&cache, "b").await;
    cache.at(3600.0);
    read(&cache, &wrapped).await.unwrap();
    settle().await;
    // One of the checks's checks may be due at the same moment.
    assert!(
        keys.calls().1 > before,
        "3,600 s is the most that a key stays"
    );
    assert_ne!(save(&cache, "b").await.1, old);
}

#[tokio::test]
async fn ages_differ_by_up_to_a_tenth() {
    let keys = Counting::new(0);
    let limits = Limits {
        revocation_check: Duration::from_hours(9),
        ..Limits::DEFAULT
    };
    let cache = Turned::new(&keys, limits);
    let mut old = Vec::new();
    for number in 0..200 {
        old.push(save(&cache, &format!("{number}")).await.1);
    }
    let mut kept = 0;
    cache.at(3230.0);
    for (number, old) in old.iter().enumerate() {
        kept += usize::from(save(&cache, &format!("{number}")).await.1 == *old);
    }
    assert_eq!(kept, 200, "nothing leaves before nine tenths of the age");
    kept = 0;
    cache.at(3420.0);
    for (number, old) in old.iter().enumerate() {
        kept += usize::from(save(&cache, &format!("{number}")).await.1 == *old);
    }
    // Half of them, give or take six standard deviations.
    assert!((58..=142).contains(&kept), "{kept} of 200 are still there");
}

#[tokio::test]
async fn seals_and_bytes_under_one_key_are_bounded() {
    let keys = Counting::new(0);
    let limits = Limits {
        max_seals: 3,
        ..Limits::DEFAULT
    };
    let by_number = KeyCache::new(keys.clone(), Some(limits));
    for _ in 0..7 {
        save(&by_number, "a").await;
    }
    assert_eq!(keys.calls().0, 3, "three seals, three seals, one");

    let keys = Counting::new(0);
    let limits = Limits {
        max_sealed_bytes: 250,
        ..Limits::DEFAULT
    };
    let by_bytes = KeyCache::new(keys.clone(), Some(limits));
    for _ in 0..5 {
        save(&by_bytes, "a").await;
    }
    assert_eq!(keys.calls().0, 3, "100 bytes each: two, two, one");
}

#[tokio::test]
async fn the_cache_lets_go_of_wiped_and_evicted_keys() {
    let limits = Limits {
        max_entries: 2,
        ..Limits::DEFAULT
    };
    let cache = KeyCache::new(Counting::new(9), Some(limits));
    let mut kept = Vec::new();
    for session in ["forgotten", "cleared"] {
        kept.push(Arc::downgrade(&save(&cache, session).await.0));
    }
    cache.forget("forgotten", &context());
    cache.clear().await;
    for number in 0..100 {
        kept.push(Arc::downgrade(&save(&cache, &format!("{number}")).await.0));
    }
    let cached = cache.0.cached.as_ref().unwrap();
    cached.generation().data_keys.run_pending_tasks();
    // Only the cache held them, and a DataKey that nobody holds has been overwritten.
    let alive = |keys: &[Weak<DataKey>]| keys.iter().filter(|key| key.strong_count() > 0).count();
    assert_eq!(alive(&kept[..2]), 0);
    assert!(alive(&kept) <= 2, "{} keys are still there", alive(&kept));
    assert!(cache.counters().read().evictions >= 100);
    drop(cache);
    assert_eq!(alive(&kept), 0);
}

#[tokio::test]
async fn a_key_that_was_evicted_is_made_anew_by_the_next_save() {
    let limits = Limits {
        max_entries: 10,
        ..Limits::DEFAULT
    };
    let cache = KeyCache::new(Counting::new(0), Some(limits));
    for _ in 0..2 {
        for number in 0..200 {
            save(&cache, &format!("{number}")).await;
        }
    }
    let cached = cache.0.cached.as_ref().unwrap().generation();
    cached.data_keys.run_pending_tasks();
    cached.sessions.run_pending_tasks();
    assert!(cached.data_keys.entry_count() <= 10);
    assert!(cached.sessions.entry_count() <= 10);
}

#[tokio::test]
async fn a_full_cache_keeps_the_keys_of_those_who_come_now() {
    let keys = Counting::new(9_999);
    let limits = Limits {
        max_entries: 100,
        ..Limits::DEFAULT
    };
    let cache = KeyCache::new(keys.clone(), Some(limits));
    let wrapped = |session: usize| WrappedKey(session.to_be_bytes().to_vec());
    // Yesterday's sessions were read often.
    for _ in 0..20 {
        for session in 0..100 {
            read(&cache, &wrapped(session)).await.unwrap();
        }
    }
    // Each key of today is for a visit of five requests, ten sessions at a time.
    for visitors in 10..60 {
        for _ in 0..5 {
            for session in 0..10 {
                let wrapped = wrapped(visitors * 10 + session);
                read(&cache, &wrapped).await.unwrap();
            }
        }
    }
    assert_eq!(keys.calls(), (0, 100 + 500), "one call a visit");
}

#[tokio::test]
async fn concurrent_reads_of_one_key_make_one_call_also_when_it_fails() {
    for failure in [None, Some(unavailable())] {
        let keys = Counting::new(0);
        keys.fail(failure.clone());
        let cache = Arc::new(cache(&keys));
        let wrapped = WrappedKey(vec![1]);
        let reads: Vec<_> = (0..100)
            .map(|_| {
                let (cache, wrapped) = (cache.clone(), wrapped.clone());
                tokio::spawn(async move { read(&cache, &wrapped).await.map(|_| ()) })
            })
            .collect();
        settle().await;
        keys.gate.add_permits(1);
        for read in reads {
            assert_eq!(read.await.unwrap().is_err(), failure.is_some());
        }
        assert_eq!(keys.calls(), (0, 1));
    }
}

#[tokio::test]
async fn the_length_of_a_wrapped_key_is_known_once_one_was_made() {
    let cache = cache(&Counting::new(9));
    assert_eq!(cache.wrapped_length(), None);
    let (_, wrapped) = save(&cache, "a").await;
    assert_eq!(cache.wrapped_length(), Some(wrapped.0.len()));
}

#[tokio::test]
async fn closing_waits_for_the_check_under_way() {
    let keys = Counting::new(0);
    let cache = Arc::new(cache(&keys));
    save(&cache, "a").await;
    cache.at(61.0);
    save(&cache, "a").await; // the check is due, and waits at the gate
    settle().await;
    assert_eq!(keys.calls(), (1, 1));
    let closing = tokio::spawn({
        let cache = cache.clone();
        async move { cache.close(pending()).await }
    });
    settle().await;
    assert!(!closing.is_finished());
    keys.gate.add_permits(1);
    closing.await.unwrap();
    drop(cache);
    assert_eq!(
        Arc::strong_count(&keys),
        1,
        "nothing holds the keys any more"
    );
}

#[tokio::test]
async fn closing_breaks_off_the_check_under_way_at_its_last_moment() {
    let keys = Counting::new(0);
    let cache = cache(&keys);
    save(&cache, "a").await;
    cache.at(61.0);
    save(&cache, "a").await; // as above
    settle().await;
    assert_eq!(keys.calls(), (1, 1));
    cache.close(ready(())).await;
    drop(cache);
    settle().await;
    assert_eq!(
        Arc::strong_count(&keys),
        1,
        "nothing holds the keys any more"
    );
}

#[tokio::test]
async fn concurrent_first_saves_of_one_session_make_one_key() {
    let keys = Counting::new(0);
    let cache = cache(&keys);
    let saves = (0..100).map(|_| save(&cache, "a"));
    let wrapped: std::collections::HashSet<WrappedKey> = futures_util::future::join_all(saves)
        .await
        .into_iter()
        .map(|(_, wrapped)| wrapped)
        .collect();
    assert_eq!((wrapped.len(), keys.calls().0), (1, 1));
}

#[tokio::test]
async fn a_failure_is_not_cached() {
    let keys = Counting::new(9);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    keys.fail(Some(unavailable()));
    assert!(read(&cache, &wrapped).await.is_err());
    keys.fail(None);
    assert!(read(&cache, &wrapped).await.is_ok());
    assert_eq!(
        (keys.calls(), cache.counters().read().load_failures),
        ((0, 2), 1)
    );
}

#[tokio::test]
async fn a_revoked_key_empties_the_cache_within_the_interval() {
    let keys = Counting::new(99);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    read(&cache, &wrapped).await.unwrap();
    cache.at(1.0);
    read(&cache, &wrapped).await.unwrap();
    keys.fail(Some(disabled()));
    cache.at(59.0);
    read(&cache, &wrapped).await.unwrap();
    settle().await;
    assert_eq!(
        cache.counters().read().checks_revoked,
        0,
        "the interval runs from the load"
    );
    cache.at(61.0);
    read(&cache, &wrapped).await.unwrap();
    settle().await;
    assert_eq!(cache.counters().read().checks_revoked, 1);
    assert_eq!(
        read(&cache, &wrapped).await.err().unwrap().code(),
        "ERR_KMS_KEY_UNUSABLE"
    );
}

#[tokio::test]
async fn each_key_encryption_key_is_checked_for_itself() {
    let keys = Counting::new(99);
    let cache = cache(&keys);
    let (new, old) = (WrappedKey(vec![1]), WrappedKey(vec![99]));
    for second in [0.0, 60.0] {
        cache.at(second);
        read(&cache, &new).await.unwrap();
        cache.at(second);
        read(&cache, &old).await.unwrap();
        settle().await;
    }
    assert_eq!(cache.counters().read().checks_usable, 2);
}

#[tokio::test]
async fn a_session_whose_key_is_wrapped_by_an_old_key_gets_a_new_one_with_its_next_save() {
    let keys = Counting::new(9);
    let cache = cache(&keys);
    let old = WrappedKey(vec![99]);
    read(&cache, &old).await.unwrap();
    cache.remember("a", &context(), &old, &cache.since());
    let (_, new) = save(&cache, "a").await;
    assert_ne!(new, old);
    assert_eq!(save(&cache, "a").await.1, new);
}

#[tokio::test]
async fn a_check_without_an_answer_purges_nothing() {
    let keys = Counting::new(99);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    for (second, failure) in [
        (0.0, None),
        (1.0, None),
        (61.0, Some(unavailable())),
        (62.0, None),
        (121.0, None),
    ] {
        keys.fail(failure);
        cache.at(second);
        read(&cache, &wrapped).await.unwrap();
        settle().await;
    }
    let stats = cache.counters().read();
    assert_eq!(
        (
            stats.checks_unknown,
            stats.checks_usable,
            stats.checks_revoked
        ),
        (1, 1, 0)
    );
    assert_eq!(
        keys.calls(),
        (0, 3),
        "one to load, two checks in two minutes of traffic"
    );
}
