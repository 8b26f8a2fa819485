//! Looks at a few items of the table, and opens some of the sessions among them.

use serde::Serialize;

use super::Operator;
use super::infrastructure::Sample;
use super::tally::{Trouble, Troubles};
use crate::error::{Error, Result};
use crate::store::{Belongs, SessionStore};
use crate::time::EpochMillis;

/// How many sessions are opened. Each costs a call to KMS.
const OPENED: usize = 3;

/// What a few items are, and which of the sessions cannot be opened.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    /// What was read.
    #[serde(flatten)]
    pub sample: Sample,
    /// How many sessions were opened, or could not be.
    pub tried: u64,
    /// Those whose record fails its integrity check.
    pub unreadable: Troubles,
}

/// Looks at a few items.
///
/// # Errors
/// Those of the table when it is scanned. Later failures are left to what tries the permissions.
pub async fn sample(operator: &Operator, now: EpochMillis) -> Result<Sampled> {
    let sample = operator.infrastructure.sample().await?;
    let mut sampled = Sampled {
        sample,
        tried: 0,
        unreadable: Troubles::default(),
    };
    let keys = std::mem::take(&mut sampled.sample.keys);
    let step = keys.len().div_ceil(OPENED).max(1);
    for key in keys.iter().step_by(step) {
        match open(&operator.store, key, now).await {
            Ok(true) => sampled.tried += 1,
            Err(error @ Error::Integrity { .. }) => {
                sampled.tried += 1;
                let trouble = || Trouble::of(&operator.store, key, &error, false);
                sampled.unreadable.add(trouble);
            }
            Ok(false) | Err(_) => {}
        }
    }
    Ok(sampled)
}

/// Opens the session under a key; `false` if there is none.
async fn open(store: &SessionStore, key: &str, now: EpochMillis) -> Result<bool> {
    let Some(item) = store.table().get(key).await? else {
        return Ok(false);
    };
    if store.belongs(&item) != Belongs::Session {
        return Ok(false);
    }
    store.opened(store.inspect(item, now).record?).await?;
    Ok(true)
}
