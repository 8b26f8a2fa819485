//! Reads a whole table in parallel, as fast as a bound on its read units allows.

use std::sync::Mutex;
use std::sync::PoisonError;

use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;

use super::pace::Pace;
use super::run::{Halt, Ran, Run};
use crate::error::Result;
use crate::record::Item;
use crate::store::session_table::SessionTable;
use crate::store::walk::{Segment, Walk, WalkPage};

/// How a command reads the table.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Into how many segments the table is divided. Each of them is read page by page, beside the
    /// others.
    pub segments: u32,
    /// How many read units it uses in a second at most.
    pub units_per_second: Option<f64>,
    /// Whether it sees all writes that were acknowledged before a page was read.
    pub consistent: bool,
}

/// How many items the first page of each segment has if the read units are bounded. Later pages
/// follow what the first ones cost.
const FIRST_PAGE: u32 = 25;
/// A page of the largest size, 1 MB, costs so many read units if it is read consistently.
const LARGEST_PAGE: f64 = 256.0;

/// What the items cost so far.
#[derive(Default)]
struct Costs {
    items: f64,
    units: f64,
}

/// Calls `work` with every page of the table. Returns the read units that were used.
///
/// # Errors
/// Those of the table and of `work`; [`Halt::Stopped`].
pub async fn each_page<W>(
    run: &Run,
    table: &dyn SessionTable,
    reading: Reading,
    work: impl Fn(Vec<Item>) -> W,
) -> Ran<f64>
where
    W: Future<Output = Ran<()>>,
{
    if let Ok(Some(count)) = table.item_count().await {
        run.progress.begin(count);
    }
    let read = |walk, after| async move { table.walk(&walk, after).await };
    each_page_of(run, reading, read, work).await
}

/// As [`each_page`], for anything that is read in pages. `read` reads one page, from the start of
/// the segment or after a key.
///
/// # Errors
/// Those of `read` and of `work`; [`Halt::Stopped`].
pub async fn each_page_of<T, R, W>(
    run: &Run,
    reading: Reading,
    read: impl Fn(Walk, Option<String>) -> R,
    work: impl Fn(Vec<T>) -> W,
) -> Ran<f64>
where
    R: Future<Output = Result<WalkPage<T>>>,
    W: Future<Output = Ran<()>>,
{
    let pace = Pace::new(reading.units_per_second);
    let costs = Mutex::new(Costs::default());
    let segments = stream::iter(Segment::all(reading.segments)).map(|segment| {
        let (pace, costs, read, work) = (&pace, &costs, &read, &work);
        async move {
            let mut after = None;
            loop {
                let (limit, estimate) = plan(pace, costs, reading.segments);
                run.unless_stopped(pace.take(estimate)).await?;
                let walk = Walk {
                    segment,
                    limit,
                    consistent: reading.consistent,
                };
                let WalkPage {
                    items,
                    next,
                    read_units,
                } = run.patiently(|| read(walk, after.clone())).await?;
                pace.correct(estimate, read_units);
                let count = items.len();
                note(costs, count, read_units);
                work(items).await?;
                run.progress.advance(count as u64);
                after = next;
                if after.is_none() {
                    return Ok::<(), Halt>(());
                }
            }
        }
    });
    all(run, segments.buffer_unordered(usize::MAX)).await?;
    let costs = costs.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(costs.units)
}

/// How many items to ask for, and the read units that they may cost: what the segment may use in a
/// second.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped
fn plan(pace: &Pace, costs: &Mutex<Costs>, segments: u32) -> (Option<u32>, f64) {
    let Some(per_second) = pace.per_second() else {
        return (None, 0.0);
    };
    let costs = costs.lock().unwrap_or_else(PoisonError::into_inner);
    let share = (per_second / f64::from(segments.max(1))).min(LARGEST_PAGE);
    if costs.items == 0.0 {
        return (Some(FIRST_PAGE), share);
    }
    let each = (costs.units / costs.items).max(0.001);
    let limit = (share / each).clamp(1.0, 1_000_000.0);
    (Some(limit as u32), limit.floor() * each)
}

#[allow(clippy::cast_precision_loss)] // of a page's items
fn note(costs: &Mutex<Costs>, items: usize, units: f64) {
    let mut costs = costs.lock().unwrap_or_else(PoisonError::into_inner);
    costs.items += items as f64;
    costs.units += units;
}

/// Runs `work` for each of the items, `at_once` at a time. If the run is told to stop, or the work
/// of an item fails, no further ones are begun, and those that were begun are ended.
///
/// # Errors
/// Those of `work`; [`Halt::Stopped`].
pub async fn each_item<T, W>(
    run: &Run,
    items: Vec<T>,
    at_once: usize,
    work: impl Fn(T) -> W,
) -> Ran<()>
where
    W: Future<Output = Ran<()>>,
{
    let work = &work;
    let items = stream::iter(items).map(|item| async move {
        run.go_on()?;
        work(item).await
    });
    all(run, items.buffer_unordered(at_once.max(1))).await
}

/// Waits for all parts of the work. The first failure tells the others to stop.
async fn all(run: &Run, parts: impl Stream<Item = Ran<()>>) -> Ran<()> {
    let mut parts = std::pin::pin!(parts);
    let mut ended = Ok(());
    while let Some(part) = parts.next().await {
        if let Err(halt) = part {
            run.progress.stop();
            if !matches!(ended, Err(Halt::Failed(_))) {
                ended = Err(halt);
            }
        }
    }
    ended
}
