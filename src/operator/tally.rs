//! Counts of bounded size.

use serde::Serialize;

use crate::error::Error;
use crate::store::SessionStore;

/// How many values are at most as large as each limit, and larger than the limit before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Histogram {
    /// The counts, each with its limit. The last one has none.
    pub counts: Vec<Bucket>,
}

/// One count of a [`Histogram`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// The largest value that is counted here.
    pub at_most: Option<u64>,
    /// How many there are.
    pub count: u64,
}

impl Histogram {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(limits: &[u64]) -> Histogram {
        let limits = limits.iter().copied().map(Some).chain([None]);
        Histogram {
            counts: limits.map(|at_most| Bucket { at_most, count: 0 }).collect(),
        }
    }

    /// Counts a value.
    pub fn add(&mut self, value: u64) {
        let fits = |bucket: &&mut Bucket| bucket.at_most.is_none_or(|limit| value <= limit);
        if let Some(bucket) = self.counts.iter_mut().find(fits) {
            bucket.count += 1;
        }
    }
}

/// Something that went wrong with a session, with the session's fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The first 8 hex digits of the SHA-256 of the session id, as in the store's log; `line 3` for a
    /// line of a file that names no session.
    pub session: String,
    /// The whole id, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The code of the error.
    pub code: String,
    /// What it says.
    pub detail: String,
}

impl Trouble {
    /// Of the session under a partition key. `ids` shows its whole id.
    #[must_use]
    pub fn of(store: &SessionStore, key: &str, error: &Error, ids: bool) -> Trouble {
        Trouble {
            session: store.fingerprint(key),
            id: ids.then(|| store.id_of(key)),
            code: error.code().to_owned(),
            detail: error.to_string(),
        }
    }
}

impl Trouble {
    /// Of a session id, which need not fit into a partition key.
    #[must_use]
    pub fn of_id(store: &SessionStore, sid: &str, error: &Error, ids: bool) -> Trouble {
        let key = store.key_of(sid).unwrap_or_else(|_| sid.to_owned());
        Trouble {
            id: ids.then(|| sid.to_owned()),
            ..Trouble::of(store, &key, error, false)
        }
    }
}

/// A list that keeps its first entries and counts the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Troubles {
    /// How many there are.
    pub count: u64,
    /// The first ones.
    pub first: Vec<Trouble>,
}

/// How many entries a list keeps.
pub const LISTED: usize = 1000;

impl Troubles {
    /// Adds one.
    pub fn add(&mut self, trouble: impl FnOnce() -> Trouble) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(trouble());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_under_the_first_limit_that_it_does_not_exceed() {
        let mut histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, u64::MAX] {
            histogram.add(value);
        }
        let counts: Vec<_> = histogram.counts.iter().map(|of| of.count).collect();
        assert_eq!(counts, [2, 2, 2]);
    }

    #[test]
    fn a_long_list_keeps_its_beginning_and_its_length() {
        let mut troubles = Troubles::default();
        for number in 0..LISTED + 5 {
            troubles.add(|| Trouble {
                session: number.to_string(),
                id: None,
                code: "ERR_INTEGRITY".into(),
                detail: String::new(),
            });
        }
        assert_eq!(troubles.count, LISTED as u64 + 5);
        assert_eq!(troubles.first.len(), LISTED);
        assert_eq!(troubles.first[0].session, "0");
    }
}
