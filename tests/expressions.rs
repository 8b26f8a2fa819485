//! Compares DynamoDB's expressions with `session_table.rs`, the one place that defines what a
//! condition and a scan mean. The items, moments and revisions come from proptest, and the requests
//! go through the server that speaks DynamoDB's protocol.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

mod support;

use connect_dynamodb_kms::record::kind::{KIND, Kind};
use connect_dynamodb_kms::record::lease::{LEASE_UNTIL, OWNER};
use connect_dynamodb_kms::record::listing::{GENERATION, USER, UserHash, text_of};
use connect_dynamodb_kms::record::{
    AUTH_TAG, Attribute, ENCRYPTED_DATA, ENCRYPTED_KEY, IV, Item, NOT_AFTER, SESSION_ID, TTL,
    VERSION,
};
use connect_dynamodb_kms::store::session_table::{Condition, Outcome, Scan};
use connect_dynamodb_kms::time::{EpochMillis, EpochSeconds};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

const CASES: u32 = 300;

/// Few and close to each other, so that equal ones and neighbours meet.
fn moment() -> impl Strategy<Value = i64> {
    9_i64..13
}

/// A value that an attribute has, or should not have: foreign programs write to the table, too.
fn value() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        6 => moment().prop_map(|number| Attribute::N(number.to_string())),
        2 => select(vec!["10.5", "0", "-1", "99999999999999999999", "10000", "10999"])
            .prop_map(|number| Attribute::N(number.to_owned())),
        2 => text().prop_map(Attribute::S),
        1 => select(vec![vec![], vec![1], vec![1, 2]]).prop_map(Attribute::B),
    ]
}

const ADA: UserHash = [1; 32];

fn text() -> impl Strategy<Value = String> {
    let ada = text_of(&ADA);
    let texts = ["a", "b", "10", "app:", "item"].map(str::to_owned);
    select(texts.into_iter().chain([ada]).collect::<Vec<_>>())
}

fn item(key: &'static str) -> impl Strategy<Value = Item> {
    let names = [
        AUTH_TAG,
        TTL,
        NOT_AFTER,
        OWNER,
        LEASE_UNTIL,
        VERSION,
        ENCRYPTED_KEY,
        ENCRYPTED_DATA,
        IV,
        KIND,
        USER,
        GENERATION,
    ];
    let attributes = names.map(|name| {
        proptest::option::weighted(0.7, value())
            .prop_map(move |value| value.map(|value| (name.into(), value)))
    });
    attributes.prop_map(move |attributes| {
        let key = (SESSION_ID.into(), Attribute::S(key.to_owned()));
        attributes.into_iter().flatten().chain([key]).collect()
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    let seconds = || moment().prop_map(EpochSeconds);
    let millis =
        prop_oneof![9_u32..13, 9_999_u32..10_001, 10_998_u32..11_001].prop_flat_map(|millis| {
            select(vec![0.0, 0.4, 0.9]).prop_map(move |part| EpochMillis(f64::from(millis) + part))
        });
    prop_oneof![
        Just(Condition::Always),
        Just(Condition::Exists),
        (seconds(), seconds()).prop_map(|(at, until)| Condition::Lives { at, until }),
        (seconds(), seconds()).prop_map(|(at, until)| Condition::EndsBefore { at, until }),
        value().prop_map(Condition::Revision),
        (value(), seconds()).prop_map(|(revision, ttl)| Condition::Unmoved { revision, ttl }),
        millis.prop_map(Condition::Vacant),
        text().prop_map(Condition::Owner),
        proptest::option::of(9_u64..13).prop_map(Condition::Generation),
        select(vec![ADA, [2; 32]]).prop_map(Condition::Of),
    ]
}

#[test]
fn a_condition_holds_in_dynamodb_for_the_items_that_it_is_said_to_hold_for() {
    let runtime = Runtime::new().unwrap();
    let [_, aws] = support::backends();
    let table = &aws.table;
    let mut runner = TestRunner::new(Config::with_cases(CASES));
    let examples = (proptest::option::weighted(0.9, item("a")), condition());
    let result = runner.run(&examples, |(stored, condition)| {
        runtime.block_on(async {
            table.delete("a", Condition::Always).await.unwrap();
            if let Some(item) = &stored {
                table.put(item.clone(), Condition::Always).await.unwrap();
            }
            let expected = if condition.holds(stored.as_ref()) {
                Outcome::Written
            } else {
                Outcome::Refused(stored.clone())
            };
            prop_assert_eq!(table.delete("a", condition).await.unwrap(), expected);
            Ok(())
        })
    });
    result.unwrap();
}

#[test]
fn a_scan_of_dynamodb_gives_the_items_that_it_is_said_to_give() {
    let runtime = Runtime::new().unwrap();
    let [_, aws] = support::backends();
    let table = &aws.table;
    let mut runner = TestRunner::new(Config::with_cases(CASES));
    let keys = ["a", "app:1", "app:", "apq", "b"];
    let items = keys.map(item);
    let kinds = select(vec![Kind::Session, Kind::Item]);
    let scan = (text(), proptest::option::of(moment()), kinds, any::<bool>());
    let scan = scan.prop_map(|(prefix, alive, kind, unversioned)| Scan {
        kind,
        prefix,
        alive_after: alive.map(EpochSeconds),
        keys_only: false,
        unversioned,
    });
    let result = runner.run(&(items, scan), |(items, scan)| {
        runtime.block_on(async {
            for item in &items {
                table.put(item.clone(), Condition::Always).await.unwrap();
            }
            let mut given = table.scan(&scan, None).await.unwrap().items;
            given.sort_by_key(|item| format!("{item:?}"));
            let mut expected: Vec<Item> =
                items.into_iter().filter(|item| scan.admits(item)).collect();
            expected.sort_by_key(|item| format!("{item:?}"));
            prop_assert_eq!(given, expected);
            Ok(())
        })
    });
    result.unwrap();
}
