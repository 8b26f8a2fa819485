use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

/// Returns the results that it is told to, one after the other, each when the test allows it.
#[derive(Debug)]
struct Searches {
    found: Vec<Result<Credentials, &'static str>>,
    begun: AtomicUsize,
    go: Notify,
}

#[derive(Clone, Debug)]
struct Provider(Arc<Searches>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.0.begun.fetch_add(1, Ordering::Relaxed);
        future::ProvideCredentials::new(async move {
            self.0.go.notified().await;
            match &self.0.found[number] {
                Ok(found) => Ok(found.clone()),
                Err("panic") => panic!("a defect"),
                Err(text) => Err(CredentialsError::not_loaded(*text)),
            }
        })
    }
}

fn held(found: Vec<Result<Credentials, &'static str>>) -> (HeldCredentials, Arc<Searches>) {
    let searches = Arc::new(Searches {
        found,
        begun: AtomicUsize::new(0),
        go: Notify::new(),
    });
    let provider = Provider(searches.clone());
    let source: Source = Box::new(move || {
        let provider = SharedCredentialsProvider::new(provider.clone());
        async { provider }.boxed()
    });
    (HeldCredentials::new(source, Arc::default()), searches)
}

fn credentials(access_key_id: &str, ends_in_seconds: u64) -> Credentials {
    let expiry = SystemTime::now() + Duration::from_secs(ends_in_seconds);
    Credentials::new(access_key_id, "secret", None, Some(expiry), "a test")
}

async fn id(held: &HeldCredentials, searches: &Searches) -> String {
    searches.go.notify_one();
    let found = held.get().await.expect("credentials");
    found.access_key_id().to_owned()
}

/// A search whose caller is gone before it ends, and what the next caller gets. A search of that
/// caller's own would find `second`.
async fn found_later(first: Result<Credentials, &'static str>) -> (String, usize) {
    let (held, searches) = held(vec![first, Ok(credentials("second", 60))]);
    let gone = tokio::time::timeout(Duration::ZERO, held.get()).await;
    assert!(gone.is_err(), "it has waited");
    tokio::task::yield_now().await;
    searches.go.notify_one();
    while held.0.state().search.is_some() {
        tokio::task::yield_now().await;
    }
    let found = id(&held, &searches).await;
    (found, searches.begun.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_a_search_has_found_when_nobody_waits_any_more_is_for_the_next() {
    let (found, begun) = found_later(Ok(credentials("first", 60))).await;
    assert_eq!((found.as_str(), begun), ("first", 1));
}

#[tokio::test]
async fn what_is_out_of_date_or_has_failed_by_then_is_searched_again() {
    for first in [Ok(credentials("first", 0)), Err("for now"), Err("panic")] {
        let (found, begun) = found_later(first).await;
        assert_eq!((found.as_str(), begun), ("second", 2));
    }
}

#[tokio::test]
async fn a_search_is_shared_and_so_is_its_failure() {
    let (held, searches) = held(vec![Err("for now"), Err("panic")]);
    for defect in [false, true] {
        searches.go.notify_one();
        let (one, other) = tokio::join!(held.get(), held.get());
        for failure in [one, other] {
            assert_eq!(failure.expect_err("a failure").defect, defect);
        }
    }
    assert_eq!(searches.begun.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_refusal_is_heard_once_in_some_seconds() {
    let all = (1..5).map(|number| Ok(credentials(&number.to_string(), 600)));
    let (held, searches) = held(all.collect());
    assert_eq!(id(&held, &searches).await, "1");
    assert_eq!(id(&held, &searches).await, "1");
    held.refused();
    assert_eq!(id(&held, &searches).await, "2");
    held.refused();
    assert_eq!(id(&held, &searches).await, "2", "not so soon");
    held.0.state().refusal_heard = Instant::now().checked_sub(BETWEEN_REFUSALS);
    assert_eq!(id(&held, &searches).await, "3");
    held.read_anew();
    assert_eq!(id(&held, &searches).await, "4", "whatever was refused");
}

#[tokio::test]
async fn what_a_failed_search_was_to_replace_is_used_while_it_lasts() {
    let (held, searches) = held(vec![Ok(credentials("first", 5)), Err("for now")]);
    assert_eq!(id(&held, &searches).await, "first");
    assert_eq!(id(&held, &searches).await, "first");
    assert_eq!(searches.begun.load(Ordering::Relaxed), 2);
}
