//! The program whose instructions `benchmarks/instructions.mjs` has callgrind count. With the name of an operation it sets the scene, and then does
//! the operation [`TIMES`] times; without one it says what there is, as JSON.

#![allow(missing_docs)]

mod support;

use support::{OPERATIONS, Operation, Scene};

/// Enough that a little of set-up and randomness does not tell; the cache of data keys tends its books after every 64 uses.
const TIMES: usize = 640;

/// callgrind counts what happens between entering and leaving this function, which it knows by this name.
#[inline(never)]
fn counted_operations(operation: Operation, scene: &mut Scene) {
    for _ in 0..TIMES {
        operation(scene);
    }
}

fn main() {
    let wanted = std::env::args().skip(1).find(|name| name != "--bench");
    let Some(wanted) = wanted else {
        let names: Vec<_> = OPERATIONS.iter().map(|(name, _)| name).collect();
        println!(
            "{}",
            serde_json::json!({ "times": TIMES, "operations": names })
        );
        return;
    };
    let named = OPERATIONS.iter().find(|(name, _)| *name == wanted);
    let (_, operation) = named.expect("the name of an operation");
    let mut scene = Scene::new();
    for _ in 0..TIMES {
        operation(&mut scene); // what is cached on the first use is cached
    }
    counted_operations(*operation, &mut scene);
    scene.check();
}
