//! Lanes that call as fast as they can (closed loop), or when arrivals are due (open loop).

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::thread;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::LocalSet;

use crate::arrivals::{self, Arrivals};
use crate::connection::Connections;
use crate::plan::Planned;

/// When a run ends, and what paces it.
pub struct Limits {
    /// How many lanes there are; each has one call under way.
    pub in_flight: usize,
    /// After so many calls, if that is said.
    pub calls: Option<u64>,
    /// Else after so many seconds.
    pub seconds: f64,
    /// Calls a second of an open loop; without it the loop is closed.
    pub rate: Option<f64>,
}

/// What a run cost.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    calls: u64,
    calls_with_warm_up: u64,
    seconds: f64,
    cpu_micros: f64,
    latencies_micros: Vec<f64>,
}

/// What the lanes of a run share.
struct Run {
    plan: Rc<Vec<Vec<Planned>>>,
    lanes: usize,
    ends_at: u64,
    left: Cell<Option<u64>>,
    /// Instants at which calls are due, in an open loop.
    due: Option<Mutex<UnboundedReceiver<u64>>>,
}

/// The connections of every lane.
type Lanes = Vec<Connections>;

/// Makes the plan's calls, for `warm_up` seconds first, and counts those after that.
///
/// # Errors
/// The first call that fails.
#[allow(clippy::cast_precision_loss)]
pub async fn run(
    plan: Vec<Vec<Planned>>,
    warm_up: f64,
    limits: Limits,
) -> Result<Measured, Box<dyn Error>> {
    let plan = Rc::new(plan);
    let local = LocalSet::new();
    // Two lanes never make the same call at the same time: their calls may be about the same session.
    let lanes = limits.in_flight.min(plan.len());
    let mut connections: Lanes = (0..lanes).map(|_| Connections::default()).collect();
    let mut warming_calls = 0;
    if warm_up > 0.0 {
        let warming = Limits {
            calls: None,
            seconds: warm_up,
            ..limits
        };
        let warmed = local
            .run_until(run_lanes(&plan, connections, &warming))
            .await?;
        connections = warmed.0;
        warming_calls = warmed.1.len() as u64;
    }
    let (cpu, start) = (arrivals::cpu(), arrivals::now());
    let (_, latencies) = local
        .run_until(run_lanes(&plan, connections, &limits))
        .await?;
    let (cpu, elapsed) = (arrivals::cpu() - cpu, arrivals::now() - start);
    Ok(Measured {
        calls: latencies.len() as u64,
        calls_with_warm_up: warming_calls + latencies.len() as u64,
        seconds: elapsed as f64 / 1e9,
        cpu_micros: cpu as f64 / 1e3,
        latencies_micros: latencies
            .iter()
            .map(|&nanoseconds| nanoseconds as f64 / 1e3)
            .collect(),
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
async fn run_lanes(
    plan: &Rc<Vec<Vec<Planned>>>,
    lanes: Lanes,
    limits: &Limits,
) -> Result<(Lanes, Vec<u64>), Box<dyn Error>> {
    let run = Rc::new(Run {
        plan: plan.clone(),
        lanes: lanes.len(),
        ends_at: if limits.calls.is_some() {
            u64::MAX
        } else {
            arrivals::now() + (limits.seconds * 1e9) as u64
        },
        left: Cell::new(limits.calls),
        due: limits
            .rate
            .map(|rate| Mutex::new(pace(rate, limits.seconds))),
    });
    let tasks: Vec<_> = lanes
        .into_iter()
        .enumerate()
        .map(|(lane, connections)| {
            let run = run.clone();
            tokio::task::spawn_local(async move {
                drive(&run, lane, connections)
                    .await
                    .map_err(|error| error.to_string())
            })
        })
        .collect();
    let (mut lanes, mut latencies) = (Lanes::new(), Vec::new());
    for task in tasks {
        let (connections, of_lane) = task.await??;
        lanes.push(connections);
        latencies.extend(of_lane);
    }
    Ok((lanes, latencies))
}

/// Sends the instants of arrivals as they come, from a thread that sleeps more finely than the runtime's timer.
fn pace(rate: f64, seconds: f64) -> UnboundedReceiver<u64> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let start = arrivals::now();
        for arrival in Arrivals::new(rate, seconds) {
            arrivals::sleep_until(start + arrival);
            if sender.send(start + arrival).is_err() {
                return;
            }
        }
    });
    receiver
}

/// One lane: its calls are those of the plan at `lane`, `lane + lanes`, and so on, again and again.
async fn drive(
    run: &Run,
    lane: usize,
    mut connections: Connections,
) -> Result<(Connections, Vec<u64>), Box<dyn Error>> {
    let mut latencies = Vec::new();
    let mut next = lane;
    loop {
        let Some(due) = run.next_due().await else {
            return Ok((connections, latencies));
        };
        for planned in &run.plan[next] {
            connections.send(planned).await?;
        }
        latencies.push(arrivals::now() - due);
        next += run.lanes;
        if next >= run.plan.len() {
            next = lane;
        }
    }
}

impl Run {
    /// When the next call of a lane is due; `None` at the end.
    async fn next_due(&self) -> Option<u64> {
        if let Some(due) = &self.due {
            return due.lock().await.recv().await;
        }
        let now = arrivals::now();
        match self.left.get() {
            Some(0) => None,
            Some(left) => {
                self.left.set(Some(left - 1));
                Some(now)
            }
            None => (now < self.ends_at).then_some(now),
        }
    }
}
