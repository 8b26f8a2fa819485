//! Loads continue without the calls that began them, and end for all that wait.

use tokio::runtime::Runtime;

use super::*;
use crate::call::{Caller, within};

/// A call with so many milliseconds left.
async fn read_within(
    cache: &KeyCache,
    wrapped: &WrappedKey,
    milliseconds: u64,
) -> Result<Arc<DataKey>> {
    let limit = Some(Duration::from_millis(milliseconds));
    within(limit, Caller::default(), read(cache, wrapped)).await
}

#[tokio::test]
async fn callers_that_leave_do_not_disturb_a_load_and_begin_no_other() {
    let keys = Counting::new(0);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    for _ in 0..300 {
        let error = read_within(&cache, &wrapped, 1).await.err().unwrap();
        assert_eq!(error.code(), "ERR_KMS_UNAVAILABLE");
    }
    // Cancelled, as by a signal, at any of the points where it waits.
    for _ in 0..300 {
        let reading = read(&cache, &wrapped);
        assert!(waits(&mut pin!(reading)).await);
    }
    let waiting = read(&cache, &wrapped);
    let mut waiting = pin!(waiting);
    assert!(waits(&mut waiting).await);
    assert_eq!(keys.calls(), (0, 1));
    keys.gate.add_permits(1);
    waiting.await.unwrap();
    read(&cache, &wrapped).await.unwrap();
    assert_eq!(keys.calls(), (0, 1), "what came of it is cached");
}

#[tokio::test]
async fn a_load_has_the_whole_deadline_of_a_call_whatever_its_first_caller_has_left() {
    let keys = Counting::new(0);
    let limit = Some(Duration::from_millis(200));
    let cache = KeyCache::with(keys.clone(), Some(Limits::DEFAULT), limit, Clock::default());
    let wrapped = WrappedKey(vec![1]);
    assert!(read_within(&cache, &wrapped, 1).await.is_err());
    let both = [read(&cache, &wrapped), read(&cache, &wrapped)];
    for ended in join_all(both).await {
        assert_eq!(ended.err().unwrap().code(), "ERR_KMS_UNAVAILABLE");
    }
    assert_eq!(keys.calls(), (0, 1), "its failure is shared");
    assert!(read_within(&cache, &wrapped, 1).await.is_err());
    assert_eq!(keys.calls(), (0, 2), "and not kept");
}

#[tokio::test]
async fn a_load_that_panics_fails_for_all_that_wait() {
    let keys = Counting::new(0);
    keys.panics.store(true, Ordering::SeqCst);
    let cache = cache(&keys);
    let wrapped = WrappedKey(vec![1]);
    let waiting = join_all((0..10).map(|_| read(&cache, &wrapped)));
    let mut waiting = pin!(waiting);
    assert!(waits(&mut waiting).await);
    keys.gate.add_permits(9);
    for ended in waiting.await {
        let error = ended.err().unwrap();
        assert_eq!(error.code(), "ERR_INTERNAL", "no outage of KMS");
        assert!(!error.retryable());
    }
    assert_eq!(keys.calls(), (0, 1));
    keys.panics.store(false, Ordering::SeqCst);
    read(&cache, &wrapped).await.unwrap();
}

#[test]
fn a_load_whose_runtime_ends_is_begun_anew_on_another() {
    let keys = Counting::new(0);
    let cache = Arc::new(cache(&keys));
    let wrapped = WrappedKey(vec![1]);
    let runtime = || Runtime::new().unwrap();
    let (first, second) = (runtime(), runtime());
    first.block_on(async {
        assert!(read_within(&cache, &wrapped, 1).await.is_err());
        settle().await;
    });
    let waiting = second.spawn({
        let (cache, wrapped) = (cache.clone(), wrapped.clone());
        async move { read(&cache, &wrapped).await.map(|_| ()) }
    });
    second.block_on(settle());
    first.shutdown_background();
    // Whether it waited for the load that ended, or began one.
    keys.gate.add_permits(9);
    let _ = second.block_on(waiting).unwrap();
    second.block_on(read(&cache, &wrapped)).unwrap();
}

#[tokio::test]
async fn closing_breaks_off_loads_that_nobody_waits_for() {
    let keys = Counting::new(0);
    let cache = cache(&keys);
    assert!(read_within(&cache, &WrappedKey(vec![1]), 1).await.is_err());
    cache.close(pending()).await;
    drop(cache);
    settle().await;
    assert_eq!(
        Arc::strong_count(&keys),
        1,
        "nothing holds the keys any more"
    );
}
