//! The clock of the services, which may be another than this machine's.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode, header};

use crate::front::Call;
use crate::reply::{self, ErrorNamespace, Reply};

/// How far a request's time may be from the service's, in seconds.
const TOLERANCE: i64 = 300;

/// How far the services' clock is ahead, in seconds.
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    /// Sets it.
    pub fn set(&self, ahead_seconds: i64) {
        self.0.store(ahead_seconds, Ordering::Relaxed);
    }

    fn ahead(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0));
        now + self.ahead()
    }

    /// The error AWS answers to a request that was signed too long ago, or in the future.
    pub fn refuse(&self, call: &Call) -> Option<Reply> {
        if self.ahead() == 0 {
            return None;
        }
        let text = call.parts.headers.get("x-amz-date")?.to_str().ok()?;
        let (signed, now) = (seconds(text)?, self.now());
        let message = if signed + TOLERANCE < now {
            format!(
                "Signature expired: {text} is now earlier than the time of this service less 5 min."
            )
        } else if signed > now + TOLERANCE {
            format!(
                "Signature not yet current: {text} is still later than the time of this service and 5 min."
            )
        } else {
            return None;
        };
        Some(reply::error(
            call.service,
            ErrorNamespace::Framework,
            StatusCode::BAD_REQUEST,
            "InvalidSignatureException",
            &message,
        ))
    }

    /// Dates a reply, if the clock is not this machine's.
    pub fn date(&self, reply: &mut Reply) {
        let ahead = self.ahead();
        if ahead == 0 {
            return;
        }
        let now = Duration::from_secs(u64::try_from(self.now()).unwrap_or(0));
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + now);
        if let Ok(date) = HeaderValue::from_str(&date) {
            reply.headers_mut().insert(header::DATE, date);
        }
    }
}

/// The epoch seconds of `20261127T200000Z`.
fn seconds(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    // Days since 1970-01-01, with years that begin in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}
