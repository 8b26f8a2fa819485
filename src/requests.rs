//! Counts of the requests that the calls of a store have sent.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::Service;
use crate::observation::Observation;

/// Counts of the requests that calls have sent.
#[derive(Debug, Default)]
pub struct Requests {
    dynamodb: Counts,
    kms: Counts,
    batches: AtomicU64,
    batched_reads: AtomicU64,
    batches_refused: AtomicBool,
    /// What happens in the calls, for those who look.
    pub observation: Observation,
}

/// What became of reads that arrived together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchStats {
    /// The requests for several items.
    pub batches: u64,
    /// The reads in them.
    pub reads: u64,
    /// Whether the service refuses such requests.
    pub refused: bool,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    retries: AtomicU64,
}

/// The requests to one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStats {
    /// All of them.
    pub sent: u64,
    /// Those that repeated an earlier one.
    pub retries: u64,
}

impl Requests {
    /// The counts of one service at this moment.
    #[must_use]
    pub fn read(&self, service: Service) -> RequestStats {
        let counts = self.of(service);
        RequestStats {
            sent: counts.sent.load(Ordering::Relaxed),
            retries: counts.retries.load(Ordering::Relaxed),
        }
    }

    /// What became of reads that arrived together, until this moment.
    #[must_use]
    pub fn batches(&self) -> BatchStats {
        BatchStats {
            batches: self.batches.load(Ordering::Relaxed),
            reads: self.batched_reads.load(Ordering::Relaxed),
            refused: self.batches_refused.load(Ordering::Relaxed),
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self, service: Service, retry: bool) {
        let counts = self.of(service);
        counts.sent.fetch_add(1, Ordering::Relaxed);
        if retry {
            counts.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request for so many reads.
    pub(crate) fn count_batch(&self, reads: u64) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batched_reads.fetch_add(reads, Ordering::Relaxed);
    }

    /// Notes that the service refuses requests for several reads.
    pub(crate) fn refuse_batches(&self) {
        self.batches_refused.store(true, Ordering::Relaxed);
    }

    fn of(&self, service: Service) -> &Counts {
        match service {
            Service::DynamoDb => &self.dynamodb,
            Service::Kms => &self.kms,
        }
    }
}
