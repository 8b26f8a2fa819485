//! When the calls of an open loop are due: a Poisson process, the same one in every run, so that all subjects meet the same bursts.

use std::io::{self, Write};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Nanoseconds of `CLOCK_MONOTONIC`, which `process.hrtime` of Node.js reads, too.
pub fn now() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Nanoseconds of CPU that all threads of this process have used.
pub fn cpu() -> u64 {
    nanoseconds(ClockId::ProcessCPUTime)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Instants of arrivals in nanoseconds since the first could have come.
pub struct Arrivals {
    mean: f64,
    end: f64,
    at: f64,
    state: u64,
}

impl Arrivals {
    /// `rate` arrivals a second on average, for `seconds`.
    pub fn new(rate: f64, seconds: f64) -> Arrivals {
        Arrivals {
            mean: 1e9 / rate,
            end: seconds * 1e9,
            at: 0.0,
            state: SEED,
        }
    }
}

impl Iterator for Arrivals {
    type Item = u64;

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn next(&mut self) -> Option<u64> {
        // xorshift64*, Vigna 2016
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let bits = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        let uniform = (bits as f64 + 1.0) / (1_u64 << 53) as f64;
        self.at -= self.mean * uniform.ln();
        (self.at < self.end).then_some(self.at as u64)
    }
}

/// Sleeps until `due`, an instant of [`now`], if it has not come yet.
pub fn sleep_until(due: u64) {
    let now = now();
    if due > now {
        std::thread::sleep(Duration::from_nanos(due - now));
    }
}

/// Writes each arrival to standard output when it is due: its instant of [`now`], 8 bytes, little-endian.
///
/// # Errors
/// Nobody reads them.
pub fn write(rate: f64, seconds: f64) -> io::Result<()> {
    let start = now() + 20_000_000;
    let mut output = io::stdout().lock();
    for arrival in Arrivals::new(rate, seconds) {
        sleep_until(start + arrival);
        output.write_all(&(start + arrival).to_le_bytes())?;
        output.flush()?; // standard output keeps what holds no line feed
    }
    Ok(())
}
