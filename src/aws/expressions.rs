//! The conditions and the filter of [`SessionTable`](crate::store::session_table::SessionTable) as
//! `DynamoDB` expressions. They mean the same as [`Condition::holds`] and [`Scan::admits`];
//! `tests/expressions.rs` compares them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::attributes::attribute_value;
use crate::record::kind::{ITEM, KIND, Kind};
use crate::record::lease::{LEASE_UNTIL, OWNER};
use crate::record::listing::{self, GENERATION, USER};
use crate::record::{
    AUTH_TAG, ENCRYPTED_DATA, ENCRYPTED_KEY, NOT_AFTER, RECORD_ATTRIBUTES, SESSION_ID, TTL,
    UNVERSIONED_ATTRIBUTES, VERSION,
};
use crate::store::session_table::{Condition, Scan};
use crate::time::EpochSeconds;

/// An expression of the API: its text and the values of its placeholders.
#[derive(Default)]
pub(super) struct Expression {
    pub(super) text: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// If the condition is refused, return the item that is there.
    pub(super) fn refusal(&self) -> Option<ReturnValuesOnConditionCheckFailure> {
        let conditional = self.text.is_some();
        conditional.then_some(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

pub(super) fn condition_expression(condition: Condition) -> Expression {
    match condition {
        Condition::Always => Expression::default(),
        Condition::Exists => Expression {
            text: Some("attribute_exists(#sessionId)".to_owned()),
            names: names([SESSION_ID]),
            values: HashMap::new(),
        },
        Condition::Lives { at, until } => lives(at, until, ""),
        Condition::EndsBefore { at, until } => lives(at, until, " AND #ttl < :until"),
        Condition::Revision(tag) => Expression {
            text: Some("#authTag = :authTag".to_owned()),
            names: names([AUTH_TAG]),
            values: attribute_value((":authTag".into(), tag))
                .into_iter()
                .collect(),
        },
        Condition::Unmoved { revision, ttl } => {
            let mut both = condition_expression(Condition::Revision(revision));
            both.text = both.text.map(|text| format!("{text} AND #ttl = :end"));
            both.names.extend(names([TTL]));
            let end = AttributeValue::N(ttl.0.to_string());
            both.values.insert(":end".to_owned(), end);
            both
        }
        Condition::Vacant(at) => Expression {
            text: Some("attribute_not_exists(#sessionId) OR #leaseUntil <= :at".to_owned()),
            names: names([SESSION_ID, LEASE_UNTIL]),
            values: HashMap::from([(":at".to_owned(), AttributeValue::N(at.number()))]),
        },
        Condition::Owner(owner) => Expression {
            text: Some("#owner = :owner".to_owned()),
            names: names([OWNER]),
            values: HashMap::from([(":owner".to_owned(), AttributeValue::S(owner))]),
        },
        Condition::Generation(None) => Expression {
            text: Some("attribute_not_exists(#sessionId)".to_owned()),
            names: names([SESSION_ID]),
            values: HashMap::new(),
        },
        Condition::Generation(Some(generation)) => Expression {
            text: Some("#generation = :generation".to_owned()),
            names: names([GENERATION]),
            values: HashMap::from([(
                ":generation".to_owned(),
                AttributeValue::N(generation.to_string()),
            )]),
        },
        Condition::Of(user) => Expression {
            text: Some(format!(
                "{} AND (attribute_not_exists(#user) OR #user = :user)",
                all_exist(&[ENCRYPTED_KEY, ENCRYPTED_DATA])
            )),
            names: names([ENCRYPTED_KEY, ENCRYPTED_DATA, USER]),
            values: HashMap::from([(
                ":user".to_owned(),
                AttributeValue::S(listing::text_of(&user)),
            )]),
        },
    }
}

fn lives(at: EpochSeconds, until: EpochSeconds, further: &str) -> Expression {
    let text = "attribute_exists(#sessionId) AND #ttl > :at AND \
                (attribute_not_exists(#notAfter) OR (#notAfter > :at AND #notAfter >= :until))";
    Expression {
        text: Some(format!("{text}{further}")),
        names: names([SESSION_ID, TTL, NOT_AFTER]),
        values: HashMap::from([
            (":at".to_owned(), AttributeValue::N(at.0.to_string())),
            (":until".to_owned(), AttributeValue::N(until.0.to_string())),
        ]),
    }
}

pub(super) fn filter_expression(scan: &Scan) -> Expression {
    let mut filter = Expression {
        names: names(RECORD_ATTRIBUTES),
        ..Expression::default()
    };
    let mut ours = all_exist(&RECORD_ATTRIBUTES);
    if scan.unversioned {
        let unversioned = all_exist(&UNVERSIONED_ATTRIBUTES);
        ours = format!("({ours} OR attribute_not_exists(#{VERSION}) AND {unversioned})");
        filter.names.extend(names(UNVERSIONED_ATTRIBUTES));
    }
    let mut terms = vec![ours];
    let kind = match scan.kind {
        Kind::Session => "(attribute_not_exists(#kind) OR #kind <> :kind)",
        Kind::Item => "#kind = :kind",
    };
    terms.push(kind.to_owned());
    filter.names.extend(names([KIND]));
    let item = AttributeValue::S(ITEM.to_owned());
    filter.values.insert(":kind".to_owned(), item);
    if !scan.prefix.is_empty() {
        terms.push("begins_with(#sessionId, :prefix)".to_owned());
        filter.names.extend(names([SESSION_ID]));
        filter
            .values
            .insert(":prefix".to_owned(), AttributeValue::S(scan.prefix.clone()));
    }
    if let Some(now) = scan.alive_after {
        terms.push("#ttl > :now".to_owned());
        terms.push("(attribute_not_exists(#notAfter) OR #notAfter > :now)".to_owned());
        filter.names.extend(names([TTL, NOT_AFTER]));
        filter
            .values
            .insert(":now".to_owned(), AttributeValue::N(now.0.to_string()));
    }
    filter.text = Some(terms.join(" AND "));
    filter
}

fn all_exist(names: &[&str]) -> String {
    let terms: Vec<String> = names
        .iter()
        .map(|name| format!("attribute_exists(#{name})"))
        .collect();
    terms.join(" AND ")
}

/// Placeholders for attribute names, some of which are reserved words.
fn names<const N: usize>(names: [&str; N]) -> HashMap<String, String> {
    names
        .into_iter()
        .map(|name| (format!("#{name}"), name.to_owned()))
        .collect()
}

/// The API refuses empty maps.
pub(super) fn some<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}
