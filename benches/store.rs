//! What the parts of a warm get and of a save cost, and the whole of them over a table in memory. `cargo bench --bench store`.

#![allow(missing_docs)] // the macros of criterion document nothing

mod support;

use std::time::Duration;

use criterion::Criterion;
use support::{OPERATIONS, Scene};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .output_directory(concat!(env!("CARGO_TARGET_TMPDIR"), "/criterion").as_ref())
        .configure_from_args();
    for (name, operation) in OPERATIONS {
        let mut scene = Scene::new();
        criterion.bench_function(name, |bencher| bencher.iter(|| operation(&mut scene)));
        scene.check();
    }
    criterion.final_summary();
}
