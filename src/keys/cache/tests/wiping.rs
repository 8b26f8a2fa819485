//! Keys leave the cache when they must, also without traffic, and none comes back. No call waits
//! for that, however many keys there are.

use std::time::Instant;

use super::*;

fn numbered(number: u32) -> WrappedKey {
    WrappedKey(number.to_be_bytes().to_vec())
}

#[tokio::test]
async fn a_key_that_was_being_unwrapped_when_its_session_was_forgotten_is_not_kept() {
    let keys = Counting::new(0);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    let since = cache.since();
    let reading = read_since(&cache, &wrapped, &since);
    let mut reading = pin!(reading);
    assert!(waits(&mut reading).await);
    settle().await;
    cache.forget(&name(&wrapped), &context());
    keys.gate.add_permits(1);
    let key = Arc::downgrade(&reading.await.unwrap());
    cache.remember(&name(&wrapped), &context(), &wrapped, &since);
    settle().await;
    assert_eq!(key.strong_count(), 0);
    assert_eq!(cache.counters().read().entries, 0);
    keys.gate.add_permits(1);
    read(&cache, &wrapped).await.unwrap();
    assert_eq!(keys.calls(), (0, 2), "a read that began later has its own");
    assert_eq!(cache.counters().read().entries, 1);
}

#[tokio::test]
async fn a_session_that_is_forgotten_between_the_load_and_the_end_of_a_read_leaves_no_key() {
    let keys = Counting::new(9);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    let since = cache.since();
    read_since(&cache, &wrapped, &since).await.unwrap();
    cache.forget(&name(&wrapped), &context());
    assert_eq!(cache.counters().read().entries, 0, "it was never opened");
    cache.remember(&name(&wrapped), &context(), &wrapped, &since);
    read(&cache, &wrapped).await.unwrap();
    assert_eq!(keys.calls(), (0, 2));
}

#[tokio::test]
async fn a_key_that_was_being_unwrapped_when_the_cache_was_emptied_is_not_kept() {
    let keys = Counting::new(0);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    let reading = read(&cache, &wrapped);
    let mut reading = pin!(reading);
    assert!(waits(&mut reading).await);
    settle().await;
    cache.clear().await;
    keys.gate.add_permits(1);
    reading.await.unwrap();
    assert_eq!(cache.counters().read().entries, 0);
}

#[tokio::test]
async fn the_key_that_a_session_had_before_is_wiped_when_it_is_read_with_another() {
    let cache = cache(&Counting::new(9));
    let (key, old_wrapped) = save(&cache, "a").await;
    let old = Arc::downgrade(&key);
    drop(key);
    let since = cache.since();
    let new = WrappedKey(vec![7]);
    assert_ne!(new, old_wrapped);
    cache.for_read("a", &new, &context(), &since).await.unwrap();
    assert_eq!(old.strong_count(), 1, "nobody knows yet whether it opens");
    cache.remember("a", &context(), &new, &since);
    assert_eq!(old.strong_count(), 0);
}

#[tokio::test]
async fn a_scan_drives_out_no_key_that_others_use() {
    let keys = Counting::new(999);
    let limits = Limits {
        max_entries: 10,
        ..Limits::DEFAULT
    };
    let cache = Turned::new(&keys, limits);
    for hot in 0..9 {
        read(&cache, &numbered(hot)).await.unwrap();
    }
    for session in 100..200 {
        let since = cache.since_of_scan();
        let wrapped = numbered(session);
        read_since(&cache, &wrapped, &since).await.unwrap();
        cache.remember(&name(&wrapped), &context(), &wrapped, &since);
    }
    assert_eq!(keys.calls(), (0, 109));
    for hot in 0..9 {
        read(&cache, &numbered(hot)).await.unwrap();
    }
    read(&cache, &numbered(100)).await.unwrap();
    assert_eq!(keys.calls(), (0, 109), "where there was room, it was kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_past_their_age_are_wiped_without_traffic() {
    let limits = Limits {
        max_age: Duration::from_millis(300),
        ..Limits::DEFAULT
    };
    let cache = Turned::new(&Counting::new(9), limits);
    for round in 0..2 {
        let (key, _) = save(&cache, "a").await;
        let key = {
            let weak = Arc::downgrade(&key);
            drop(key);
            weak
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while key.strong_count() > 0 {
            assert!(Instant::now() < deadline, "still there in round {round}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(cache.counters().read().entries, 0);
    }
}

#[tokio::test]
async fn nobody_waits_for_the_wiping_of_many_keys_and_nobody_finds_them() {
    const KEYS: u32 = 1100;
    let cache = Turned::new(&Counting::new(KEYS as usize), Limits::DEFAULT);
    for number in 0..KEYS {
        read(&cache, &numbered(number)).await.unwrap();
    }
    let cached = cache.0.cached.clone().unwrap();
    let entry = cache.0.entry_id(&numbered(1), &context());
    let (_, slot) = cached.key(&entry).unwrap();
    let wiped = {
        // The wiping cannot end as long as this key is in use.
        let _in_use = slot.lock();
        let (cleared, clearing) = std::sync::mpsc::channel();
        let other = cached.clone();
        std::thread::spawn(move || cleared.send(other.clear()));
        clearing
            .recv_timeout(Duration::from_secs(20))
            .expect("the caller waits for the wiping")
    };
    wiped.await;
    assert!(cached.key(&entry).is_none());
    assert_eq!(cache.counters().read().entries, 0);
}

#[tokio::test]
async fn a_revocation_check_unwraps_one_key_of_however_many() {
    const KEYS: u32 = 1000;
    let keys = Counting::new(KEYS as usize + 99);
    let cache = Turned::new(&keys, Limits::DEFAULT);
    for number in 0..KEYS {
        read(&cache, &numbered(number)).await.unwrap();
    }
    for check in 1..6 {
        cache.at(f64::from(check) * 61.0);
        read(&cache, &numbered(0)).await.unwrap();
        settle().await;
        assert_eq!(cache.counters().read().checks_usable, u64::from(check));
        assert_eq!(keys.calls(), (0, (KEYS + check) as usize));
    }
}
