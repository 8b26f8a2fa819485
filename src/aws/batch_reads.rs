//! Reads that arrive together travel together: while the runtime has not yet come to send a
//! `GetItem`, further reads join it, and all of them are sent as one `BatchGetItem`. Nobody waits
//! for company. A read that nobody joins is sent as a `GetItem`, and one that begins while no other
//! is under way does not even look for others.
//!
//! Building, signing and receiving a request takes nearly all of the CPU time of a warm `get`, so
//! fewer requests cost less.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::attributes::item;
use super::dynamodb::DynamoDbTable;
use crate::call::{self, Progress};
use crate::error::{Cause, Error, Kind, Result};
use crate::record::{Item, SESSION_ID};

/// How many reads travel together at most. Their items have 10 MB at most, so one answer holds them
/// all (Amazon `DynamoDB` API Reference, "`BatchGetItem`": 100 items and 16 MB).
const MOST: usize = 25;

/// How often the first caller lets other tasks run, which may join it, before it sends.
const TURNS: usize = 2;

/// What IAM calls the request.
const ACTION: &str = "dynamodb:BatchGetItem";

/// The reads of a table that gather.
pub(super) struct BatchReads {
    gathering: Mutex<Option<Arc<Batch>>>,
    under_way: AtomicUsize,
    /// Set for good when the service has refused such a request.
    refused: AtomicBool,
}

/// Those who joined a caller, without that caller.
struct Batch {
    companions: Mutex<Vec<Companion>>,
    /// What the caller waits for, and so do its companions: credentials first.
    progress: Option<Progress>,
}

struct Companion {
    key: String,
    answer: oneshot::Sender<Answer>,
}

/// What a companion gets from the caller that it joined. Without an answer, it asks alone.
enum Answer {
    Item(Option<Item>),
    AskAlone,
}

/// What a caller does.
enum Part {
    /// It sends the batch that others may join.
    Leads(Arc<Batch>),
    /// It waits for the answer.
    Joins(oneshot::Receiver<Answer>, Option<Progress>),
}

impl BatchReads {
    /// If they are not `wanted`, every read is sent alone.
    pub(super) fn new(wanted: bool) -> BatchReads {
        BatchReads {
            gathering: Mutex::default(),
            under_way: AtomicUsize::new(0),
            refused: AtomicBool::new(!wanted),
        }
    }

    pub(super) fn are_off(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    fn part(&self, key: &str) -> Part {
        let mut gathering = lock(&self.gathering);
        if let Some(batch) = gathering.as_ref() {
            let mut companions = lock(&batch.companions);
            let (answer, answered) = oneshot::channel();
            companions.push(Companion {
                key: key.to_owned(),
                answer,
            });
            let full = companions.len() + 1 == MOST;
            drop(companions);
            let progress = batch.progress.clone();
            if full {
                *gathering = None;
            }
            return Part::Joins(answered, progress);
        }
        let batch = Arc::new(Batch {
            companions: Mutex::default(),
            progress: call::progress(),
        });
        *gathering = Some(batch.clone());
        Part::Leads(batch)
    }

    /// Ends the gathering of a batch.
    fn close(&self, batch: &Arc<Batch>) -> Vec<Companion> {
        let mut gathering = lock(&self.gathering);
        if gathering
            .as_ref()
            .is_some_and(|open| Arc::ptr_eq(open, batch))
        {
            *gathering = None;
        }
        drop(gathering);
        std::mem::take(&mut *lock(&batch.companions))
    }
}

/// A read, from its beginning to its end.
struct UnderWay<'a>(&'a AtomicUsize);

impl UnderWay<'_> {
    /// Also says whether others are under way.
    fn begin(reads: &BatchReads) -> (UnderWay<'_>, bool) {
        let others = reads.under_way.fetch_add(1, Ordering::Relaxed) > 0;
        (UnderWay(&reads.under_way), others)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A batch that gathers. If its caller gives up, its companions get no answer.
struct Leading<'a> {
    reads: &'a BatchReads,
    batch: Arc<Batch>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        drop(self.reads.close(&self.batch));
    }
}

impl DynamoDbTable {
    /// Reads an item, together with others that are read at the same time.
    pub(super) async fn get_with_others(&self, key: &str) -> Result<Option<Item>> {
        let reads = self.batch_reads();
        let (_under_way, others) = UnderWay::begin(reads);
        if !others {
            // Letting other tasks run would cost a twentieth of a read.
            return self.get_alone(key).await;
        }
        let batch = match reads.part(key) {
            Part::Leads(batch) => Leading { reads, batch },
            Part::Joins(answered, progress) => {
                if let Some(progress) = &progress {
                    call::follow(progress);
                }
                return match answered.await {
                    Ok(Answer::Item(item)) => Ok(item),
                    Ok(Answer::AskAlone) | Err(_) => self.get_alone(key).await,
                };
            }
        };
        for _ in 0..TURNS {
            yield_now().await;
        }
        let companions = reads.close(&batch.batch);
        if companions.is_empty() {
            return self.get_alone(key).await;
        }
        // The items by their keys; those that are missing, too, but not those that were left out.
        let mut found = match self.get_batch(key, &companions).await {
            Ok(found) => found,
            Err(error) => {
                if is_refusal(&error) {
                    reads.refused.store(true, Ordering::Relaxed);
                    call::refuses_batches();
                }
                HashMap::new()
            }
        };
        let mut companions = companions.into_iter();
        while let Some(Companion { key: next, answer }) = companions.next() {
            // Items are copied only for those who ask for the same one.
            let others = companions.as_slice();
            let again = next == key || others.iter().any(|other| other.key == next);
            let item = if again {
                found.get(&next).cloned()
            } else {
                found.remove(&next)
            };
            // Nobody waits for it if that caller has given up.
            let _ = answer.send(item.map_or(Answer::AskAlone, Answer::Item));
        }
        match found.remove(key) {
            Some(item) => Ok(item),
            None => self.get_alone(key).await,
        }
    }

    /// The items of a batch by their keys: `None` for keys without an item. Keys that were not
    /// processed are left out.
    async fn get_batch(
        &self,
        own: &str,
        companions: &[Companion],
    ) -> Result<HashMap<String, Option<Item>>> {
        let keys = companions.iter().map(|companion| companion.key.as_str());
        let mut found: HashMap<String, Option<Item>> = keys
            .chain([own])
            .map(|key| (key.to_owned(), None))
            .collect();
        call::batches(companions.len() as u64 + 1);
        let call = self.call(ACTION);
        let keys = found
            .keys()
            .map(|key| HashMap::from([(SESSION_ID.to_owned(), AttributeValue::S(key.clone()))]));
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(true)
            .build()
            .map_err(|error| Error::Config(error.to_string()))?;
        let request = self.client(&call).await?.batch_get_item();
        let request = request.request_items(self.name(), keys);
        let reply = call.answer(request.send()).await;
        let reply = reply.and_then(|reply| call.answered(reply))?;
        let wrong = || call.wrong_answer("it does not say which items there are");
        let unprocessed = reply.unprocessed_keys.ok_or_else(wrong)?;
        // The answer may name the table by its ARN; the request has only one table.
        for key in unprocessed.values().flat_map(KeysAndAttributes::keys) {
            if let Some(AttributeValue::S(key)) = key.get(SESSION_ID) {
                found.remove(key);
            }
        }
        let responses = reply.responses.ok_or_else(wrong)?;
        if responses.is_empty() && !found.is_empty() {
            return Err(wrong());
        }
        for attributes in responses.into_values().flatten() {
            let asked = match attributes.get(SESSION_ID) {
                Some(AttributeValue::S(key)) => found.get_mut(key),
                _ => None,
            };
            // An item that nobody asked for is another request's.
            let asked = asked
                .ok_or_else(|| call.wrong_answer("it holds an item that was not asked for"))?;
            *asked = Some(item(attributes));
        }
        Ok(found)
    }
}

/// Whether the service will refuse every such request: the role may not, or the server cannot.
fn is_refusal(error: &Error) -> bool {
    let Error::Service(failed) = error else {
        return false;
    };
    let unknown = |cause: &Cause| cause.name == "UnknownOperationException";
    matches!(failed.kind, Kind::AccessDenied | Kind::TableSchema)
        || failed.cause.as_ref().is_some_and(unknown)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
