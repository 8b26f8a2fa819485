//! Counts which KMS keys wrapped the data keys of sessions, with few calls to KMS.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::run::{Halt, Ran, Run};
use crate::error::{Error, Kind};
use crate::record::{EncryptedSessionRecord, Version};
use crate::store::SessionStore;

/// How many families of wrapped keys are told apart: a family has the same KMS key and the same
/// rotation of it. Records of further ones are counted together.
const FAMILIES: usize = 256;

/// What KMS said about a family.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrapper {
    /// The configured key of this name.
    Key(String),
    /// A configured key that cannot be used, and the code of the error.
    Unusable(String),
    /// None of the configured keys.
    Other,
    /// Samples of one family had different keys, or there are too many families.
    Unclear,
}

impl Wrapper {
    /// What the report says.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Wrapper::Key(name) => name.clone(),
            Wrapper::Unusable(code) => format!("unknown: the keys cannot be asked ({code})"),
            Wrapper::Other => "none of the configured keys".to_owned(),
            Wrapper::Unclear => "unclear: count with --verify".to_owned(),
        }
    }
}

/// The counts.
#[derive(Default)]
pub struct Wrapping(Mutex<State>);

#[derive(Default)]
struct State {
    families: BTreeMap<(u32, Vec<u8>), Family>,
    /// Records whose wrapper was found one by one.
    single: BTreeMap<Wrapper, u64>,
    asked: u64,
}

#[derive(Default)]
struct Family {
    count: u64,
    wrapper: Option<Wrapper>,
}

impl Wrapping {
    /// Counts a record. The keys are asked for the first record of a family, and for each that
    /// makes their number ten times as large.
    ///
    /// # Errors
    /// Failures that concern all sessions.
    pub async fn count(
        &self,
        run: &Run,
        store: &SessionStore,
        record: &EncryptedSessionRecord,
    ) -> Ran<()> {
        let family = store.family(&record.wrapped_key).map(<[u8]>::to_vec);
        let Some(family) = family else {
            let wrapper = ask(run, store, record).await?;
            self.add(wrapper);
            return Ok(());
        };
        let id = (record.version().number(), family);
        let due = {
            let mut state = self.lock();
            if !state.families.contains_key(&id) && state.families.len() >= FAMILIES {
                *state.single.entry(Wrapper::Unclear).or_default() += 1;
                return Ok(());
            }
            let family = state.families.entry(id.clone()).or_default();
            family.count += 1;
            is_power_of_ten(family.count)
        };
        if due {
            let found = ask(run, store, record).await?;
            let mut state = self.lock();
            state.asked += 1;
            if let Some(family) = state.families.get_mut(&id) {
                family.wrapper = Some(match family.wrapper.take() {
                    Some(before) if before != found => Wrapper::Unclear,
                    _ => found,
                });
            }
        }
        Ok(())
    }

    /// Counts a record of which this is known.
    pub fn add(&self, wrapper: Wrapper) {
        let mut state = self.lock();
        state.asked += 1;
        *state.single.entry(wrapper).or_default() += 1;
    }

    /// How many records each key wrapped, and how many wrapped keys were unwrapped to find out.
    #[must_use]
    pub fn counts(&self) -> (BTreeMap<String, u64>, u64) {
        let state = self.lock();
        let mut counts = BTreeMap::new();
        let families = state.families.values().map(|family| {
            let wrapper = family.wrapper.as_ref().unwrap_or(&Wrapper::Unclear);
            (wrapper, family.count)
        });
        let single = state
            .single
            .iter()
            .map(|(wrapper, count)| (wrapper, *count));
        for (wrapper, count) in families.chain(single) {
            *counts.entry(wrapper.name()).or_default() += count;
        }
        (counts, state.asked)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the keys which of them wrapped the data key of a record.
async fn ask(run: &Run, store: &SessionStore, record: &EncryptedSessionRecord) -> Ran<Wrapper> {
    let answer = run.patiently(|| store.wrapped_by(record)).await;
    wrapper(store, answer)
}

/// What an answer of the keys says about a record.
///
/// # Errors
/// Failures that concern all sessions.
pub fn wrapper(store: &SessionStore, answer: Ran<usize>) -> Ran<Wrapper> {
    match answer {
        Ok(index) => Ok(Wrapper::Key(
            store
                .key_encryption_keys()
                .get(index)
                .map_or_else(String::new, |name| (*name).to_owned()),
        )),
        Err(Halt::Failed(Error::Integrity { .. })) => Ok(Wrapper::Other),
        Err(Halt::Failed(error)) if is_of_the_key(&error) => {
            Ok(Wrapper::Unusable(error.code().to_owned()))
        }
        Err(halt) => Err(halt),
    }
}

/// Whether a failure says something about a key encryption key, so that sessions of other keys are
/// not concerned.
#[must_use]
pub fn is_of_the_key(error: &Error) -> bool {
    matches!(
        error,
        Error::Service(failed) if failed.action == "kms:Decrypt"
            && matches!(failed.kind, Kind::KeyUnusable | Kind::AccessDenied)
    )
}

fn is_power_of_ten(number: u64) -> bool {
    std::iter::successors(Some(1_u64), |power| power.checked_mul(10))
        .take_while(|power| *power <= number)
        .any(|power| power == number)
}

/// The versions that a report names.
#[must_use]
pub fn version_name(version: Option<u32>) -> &'static str {
    match version {
        Some(0) => "none",
        Some(number) if number == Version::V1.number() => "1",
        Some(number) if number == Version::V2.number() => "2",
        _ => "unknown",
    }
}
