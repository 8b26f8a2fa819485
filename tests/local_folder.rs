//! The folder of the local mode, as one process opens it again and again.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use std::sync::Arc;

use connect_dynamodb_kms::local::{LocalFolder, LocalTable};
use connect_dynamodb_kms::record::{Attribute, Item, SESSION_ID, TTL};
use connect_dynamodb_kms::store::session_table::{Condition, SessionTable};
use connect_dynamodb_kms::time::EpochMillis;

fn table(path: &str) -> LocalTable {
    LocalTable::new(LocalFolder::new(path).unwrap(), "sessions")
}

/// A garbage collector drops a store that nobody closed in the same way: on a thread of its own, at
/// any moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_opens_again_while_its_last_store_is_being_let_go_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    for round in 0..300 {
        let last = Arc::new(table(path));
        let item = Item::from([(SESSION_ID.into(), Attribute::S("s".into()))]);
        last.put(item, Condition::Always).await.unwrap();
        let collector = std::thread::spawn(move || drop(last));
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        let found = table(path).get("s").await;
        assert!(found.unwrap().is_some(), "round {round}");
        collector.join().unwrap();
    }
}

/// The removal runs in the background. This runtime has one thread, so the removal has not begun
/// when the table is closed.
#[tokio::test]
async fn what_has_ended_is_removed_also_where_the_table_is_closed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let item = Item::from([
        (SESSION_ID.into(), Attribute::S("s".into())),
        (TTL.into(), Attribute::N("1000".into())),
    ]);
    let first = table(path);
    first.put(item, Condition::Always).await.unwrap();
    first.tidy(EpochMillis(1_000_000.0));
    first.close().await;
    drop(first);
    assert!(table(path).get("s").await.unwrap().is_none());
}

#[tokio::test]
async fn a_folder_of_its_own_is_hidden_from_git_and_no_other_is() {
    let parent = tempfile::tempdir().unwrap();
    let own = parent.path().join("sessions");
    table(own.to_str().unwrap()).check().await.unwrap();
    assert_eq!(std::fs::read(own.join(".gitignore")).unwrap(), b"*\n");
    // What the owner has made of it stays.
    std::fs::write(own.join(".gitignore"), "*.redb\n").unwrap();
    table(own.to_str().unwrap()).check().await.unwrap();
    assert_eq!(std::fs::read(own.join(".gitignore")).unwrap(), b"*.redb\n");
    let shared = parent.path().join("project");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("package.json"), "{}").unwrap();
    table(shared.to_str().unwrap()).check().await.unwrap();
    assert!(!shared.join(".gitignore").exists());
}
