//! What sealing a session to an item and opening it from one costs, data key at hand, beside the least that it could: AES-256-GCM of AWS-LC
//! with a fresh IV, and `base64-simd`, over the same bytes. `cargo bench --bench envelope` ends with the ratios.

#![allow(clippy::unwrap_used, missing_docs)] // clippy takes only #[test] functions for tests; the macros of criterion document nothing

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad as TheirAad, LessSafeKey, Nonce, UnboundKey};
use base64_simd::STANDARD as BASE64;
use connect_dynamodb_kms::crypto::data_key::{DataKey, WrappedKey};
use connect_dynamodb_kms::crypto::envelope::{Aad, BoundSeal, open, open_bound, seal, seal_bound};
use connect_dynamodb_kms::crypto::plaintext::Plaintext;
use connect_dynamodb_kms::record::listing::Listing;
use connect_dynamodb_kms::record::{Bound, EncryptedSessionRecord, Item, Version};
use connect_dynamodb_kms::time::EpochSeconds;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::Value;
use zeroize::Zeroizing;

/// Bytes of the session's JSON: a usual one, some large ones, and nearly all that an item of version 1 holds.
const SIZES: [usize; 4] = [2_000, 16_000, 64_000, 300_000];

const RAW: &str = "raw";
const VERSIONS: [(Version, &str); 2] = [(Version::V1, "version 1"), (Version::V2, "version 2")];

const AAD: Aad<'static> = Aad {
    not_after: EpochSeconds(1_900_000_000),
    table: "sessions",
    key: "app:iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A",
};
const KEY: [u8; 32] = [7; 32];
const RAW_IV: [u8; 12] = [9; 12];

/// Where criterion leaves what it measured.
const OUTPUT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/criterion");

fn raw_seal(key: &LessSafeKey, plaintext: &[u8]) -> (String, [u8; 12]) {
    let mut iv = [0; 12];
    SysRng.try_fill_bytes(&mut iv).unwrap();
    (raw_seal_under(key, iv, plaintext), iv)
}

/// The tag stands behind the ciphertext.
fn raw_seal_under(key: &LessSafeKey, iv: [u8; 12], plaintext: &[u8]) -> String {
    let mut buffer = Vec::with_capacity(plaintext.len() + AES_256_GCM.tag_len());
    buffer.extend_from_slice(plaintext);
    let nonce = Nonce::assume_unique_for_key(iv);
    key.seal_in_place_append_tag(nonce, TheirAad::empty(), &mut buffer)
        .unwrap();
    BASE64.encode_to_string(buffer)
}

fn raw_open(key: &LessSafeKey, sealed: &str) -> Vec<u8> {
    let mut buffer = BASE64.decode_to_vec(sealed).unwrap();
    let nonce = Nonce::assume_unique_for_key(RAW_IV);
    key.open_in_place(nonce, TheirAad::empty(), &mut buffer)
        .unwrap();
    buffer
}

fn sealed_item(version: Version, key: &DataKey, plaintext: &[u8]) -> Item {
    let payload = Plaintext::new(plaintext.to_vec());
    let (sealed, bound) = match version {
        Version::V1 => (seal(key, payload), None),
        Version::V2 => {
            let bound = seal_bound(key, payload, &AAD);
            let added = Bound {
                not_after: AAD.not_after,
                salt: bound.salt,
                commitment: bound.commitment,
            };
            (bound.sealed, Some(added))
        }
    };
    let record = EncryptedSessionRecord {
        key: AAD.key.to_owned(),
        wrapped_key: WrappedKey(vec![1; 184]),
        sealed,
        ttl: EpochSeconds(1_800_000_000),
        bound,
        unversioned: false,
        listing: Listing::Unsaid,
    };
    record.to_item()
}

fn opened_item(key: &DataKey, item: Item) -> Plaintext {
    let record = EncryptedSessionRecord::from_item(item).unwrap();
    match record.bound {
        None => open(key, record.sealed).unwrap(),
        Some(bound) => {
            let bound = BoundSeal {
                sealed: record.sealed,
                salt: bound.salt,
                commitment: bound.commitment,
            };
            open_bound(key, bound, &AAD).unwrap()
        }
    }
}

fn measure(criterion: &mut Criterion) {
    let key = DataKey::new(Zeroizing::new(KEY.to_vec())).unwrap();
    let raw = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap());
    for size in SIZES {
        let plaintext: Vec<u8> = (b' '..b'~').cycle().take(size).collect();
        let raw_sealed = raw_seal_under(&raw, RAW_IV, &plaintext);
        assert_eq!(raw_open(&raw, &raw_sealed)[..size], plaintext);

        let mut sealing = criterion.benchmark_group("seal");
        sealing.throughput(Throughput::Bytes(size as u64));
        sealing.bench_function(BenchmarkId::new(RAW, size), |bencher| {
            bencher.iter(|| raw_seal(&raw, black_box(&plaintext)));
        });
        for (version, name) in VERSIONS {
            sealing.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| sealed_item(version, &key, black_box(&plaintext)));
            });
        }
        sealing.finish();

        let mut opening = criterion.benchmark_group("open");
        opening.throughput(Throughput::Bytes(size as u64));
        opening.bench_function(BenchmarkId::new(RAW, size), |bencher| {
            bencher.iter(|| raw_open(&raw, black_box(&raw_sealed)));
        });
        for (version, name) in VERSIONS {
            let item = sealed_item(version, &key, &plaintext);
            assert_eq!(*opened_item(&key, item.clone()), plaintext);
            opening.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_batched(
                    || item.clone(),
                    |item| opened_item(&key, item),
                    BatchSize::SmallInput,
                );
            });
        }
        opening.finish();
    }
}

/// Nanoseconds, of the run that has just ended.
fn measured(work: &str, what: &str, size: usize) -> Option<f64> {
    let path = format!("{OUTPUT}/{work}/{what}/{size}/new/estimates.json");
    let estimates: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

fn print_ratios() {
    println!("  bytes  work   raw µs   version 1 µs (ratio)   version 2 µs (ratio)");
    for size in SIZES {
        for work in ["seal", "open"] {
            let median = |what| measured(work, what, size).unwrap_or(f64::NAN) / 1000.0;
            let (raw, first, second) = (median(RAW), median("version 1"), median("version 2"));
            println!(
                "{size:7}  {work}  {raw:7.2}  {first:13.2} ({:.2})  {second:13.2} ({:.2})",
                first / raw,
                second / raw
            );
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .output_directory(OUTPUT.as_ref())
        .configure_from_args();
    measure(&mut criterion);
    criterion.final_summary();
    // Without --bench each work runs once, to show that it runs.
    if std::env::args().any(|argument| argument == "--bench") {
        print_ratios();
    }
}
