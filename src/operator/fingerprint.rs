//! How reports name a session whose id they must not show.

use sha2::{Digest, Sha256};

use super::tally::Trouble;
use crate::error::Error;

/// The first 8 hex digits of the SHA-256 of a session id, as in the store's log.
#[must_use]
pub fn fingerprint(id: &str) -> String {
    let hash = Sha256::digest(id);
    hash.iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A session's trouble. `ids` shows its whole id.
#[must_use]
pub fn trouble(id: &str, error: &Error, ids: bool) -> Trouble {
    Trouble {
        session: fingerprint(id),
        id: ids.then(|| id.to_owned()),
        code: error.code().to_owned(),
        detail: error.to_string(),
    }
}
