//! Reading whole tables, for the operator's command.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use connect_dynamodb_kms::operator::run::{Halt, Run};
use connect_dynamodb_kms::operator::walking::{Reading, each_page};
use connect_dynamodb_kms::record::{Attribute, Item, SESSION_ID};
use connect_dynamodb_kms::store::session_table::{Condition, SessionTable};
use connect_dynamodb_kms::store::walk::{Segment, Walk};
use support::backends;

async fn fill(table: &dyn SessionTable, count: usize) {
    for number in 0..count {
        let item = Item::from([
            (SESSION_ID.into(), Attribute::S(format!("item {number}"))),
            ("text".into(), Attribute::S("x".repeat(1000))),
        ]);
        table.put(item, Condition::Always).await.unwrap();
    }
}

fn key(item: &Item) -> String {
    match &item[SESSION_ID] {
        Attribute::S(key) => key.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_segments_of_a_walk_have_every_item_once_between_them() {
    for backend in backends() {
        fill(backend.table.as_ref(), 100).await;
        for (of, limit) in [(1, None), (4, Some(7)), (9, Some(1)), (3, None)] {
            let mut seen: BTreeMap<String, u32> = BTreeMap::new();
            for segment in Segment::all(of) {
                let walk = Walk {
                    segment,
                    limit,
                    consistent: false,
                };
                let mut after = None;
                loop {
                    let page = backend.table.walk(&walk, after).await.unwrap();
                    assert!(page.items.len() <= limit.unwrap_or(u32::MAX) as usize);
                    for item in &page.items {
                        *seen.entry(key(item)).or_default() += 1;
                    }
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
            }
            assert_eq!(seen.len(), 100, "{} {of} {limit:?}", backend.name);
            assert!(seen.values().all(|count| *count == 1), "{}", backend.name);
        }
    }
}

#[tokio::test]
async fn a_page_says_what_it_costs() {
    for backend in backends() {
        fill(backend.table.as_ref(), 40).await;
        let segment = Segment { index: 0, of: 1 };
        for (consistent, expected) in [(true, 10.0..12.0), (false, 5.0..6.1)] {
            let walk = Walk {
                segment,
                limit: None,
                consistent,
            };
            // 40 items of about 1,020 bytes are 40.8 KB: 10 units of 4 KB, or half of that.
            let page = backend.table.walk(&walk, None).await.unwrap();
            let units = page.read_units;
            assert!(expected.contains(&units), "{} {units}", backend.name);
        }
    }
}

#[tokio::test]
async fn a_bound_on_read_units_is_kept() {
    for backend in backends() {
        fill(backend.table.as_ref(), 60).await;
        let reading = |units_per_second| Reading {
            segments: 3,
            units_per_second,
            consistent: true,
        };
        let seen = Mutex::new(0);
        let count = |items: Vec<Item>| {
            *seen.lock().unwrap() += items.len();
            std::future::ready(Ok(()))
        };
        let (run, table) = (Run::default(), backend.table.as_ref());
        let began = Instant::now();
        let units = each_page(&run, table, reading(Some(10.0)), count).await;
        let units = units.unwrap();
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), 60);
        // What the last pages cost is not waited for.
        let least = (units - 10.0) / 10.0;
        let took = began.elapsed().as_secs_f64();
        assert!(
            least > 0.4 && took >= least,
            "{} {took} {units}",
            backend.name
        );
        let began = Instant::now();
        each_page(&run, table, reading(None), count).await.unwrap();
        assert!(began.elapsed().as_secs_f64() < least, "{}", backend.name);
    }
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_ends_at_once_even_while_it_waits() {
    for backend in backends() {
        fill(backend.table.as_ref(), 60).await;
        let run = Run::default();
        let reading = Reading {
            segments: 1,
            units_per_second: Some(0.01), // a page takes minutes
            consistent: true,
        };
        let walk = each_page(&run, backend.table.as_ref(), reading, |_| {
            std::future::ready(Ok(()))
        });
        let stop = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            run.progress.stop();
        };
        let (walked, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(20), walk), stop);
        assert!(matches!(walked, Ok(Err(Halt::Stopped))), "{}", backend.name);
    }
}
