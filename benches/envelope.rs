//! What a session's record costs beyond its cryptography: sealing to an item and opening from one, beside raw AES-256-GCM and base64 of the
//! same bytes. `cargo bench --bench envelope`.
//!
//! The variants take turns in short batches, so that a change of the machine's speed meets all of them, and the fastest batch of each
//! counts: it is the one that nothing else on the machine disturbed. Criterion would measure one after the other, and its dependencies
//! turn on features of crates below the AWS SDKs, which would then be compiled twice, for tests and for the addon.

#![allow(clippy::unwrap_used)] // clippy takes only #[test] functions for tests

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as LcNonce, UnboundKey};
use base64_simd::STANDARD as BASE64;
use connect_dynamodb_kms::data_keys::{DataKey, WrappedKey};
use connect_dynamodb_kms::envelope::{Binding, BoundSeal, open, open_bound, seal, seal_bound};
use connect_dynamodb_kms::record::{Bound, EncryptedSessionRecord, Item, Version};
use connect_dynamodb_kms::time::EpochSeconds;
use zeroize::Zeroizing;

/// Bytes of the session's JSON: a usual one, some large ones, and nearly all that an item of version 1 holds.
const SIZES: [usize; 4] = [2_000, 16_000, 64_000, 300_000];
/// How long one variant's turn takes, about.
const BATCH: Duration = Duration::from_millis(2);
const TURNS: usize = 150;

const BINDING: Binding<'static> = Binding {
    not_after: EpochSeconds(1_900_000_000),
    table: "sessions",
    key: "app:iVnKkJYcgUwRBJ3uLMFyOQtSpLzEcm1A",
};
const KEY: [u8; 32] = [7; 32];
const RAW_IV: [u8; 12] = [9; 12];

/// The ciphers at their fastest: keys expanded beforehand, one IV for all.
struct Raw {
    rust: Aes256Gcm,
    lc: LessSafeKey,
}

impl Raw {
    fn rust_seal(&self, plaintext: &[u8]) -> (Vec<u8>, [u8; 16]) {
        let mut buffer = plaintext.to_vec();
        let tag = self
            .rust
            .encrypt_inout_detached(&Nonce::from(RAW_IV), b"", buffer.as_mut_slice().into())
            .unwrap();
        (buffer, tag.into())
    }

    fn rust_open(&self, mut ciphertext: Vec<u8>, tag: [u8; 16]) -> Vec<u8> {
        let buffer = ciphertext.as_mut_slice().into();
        self.rust
            .decrypt_inout_detached(&Nonce::from(RAW_IV), b"", buffer, &Tag::from(tag))
            .unwrap();
        ciphertext
    }

    fn lc_seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(plaintext.len() + 16);
        buffer.extend_from_slice(plaintext);
        let nonce = LcNonce::assume_unique_for_key(RAW_IV);
        self.lc
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut buffer)
            .unwrap();
        buffer
    }

    /// With the tag behind the ciphertext.
    fn lc_open(&self, mut sealed: Vec<u8>) -> Vec<u8> {
        let nonce = LcNonce::assume_unique_for_key(RAW_IV);
        self.lc
            .open_in_place(nonce, Aad::empty(), &mut sealed)
            .unwrap();
        sealed
    }
}

fn sealed_item(version: Version, key: &DataKey, plaintext: &[u8]) -> Item {
    let payload = Zeroizing::new(plaintext.to_vec());
    let (sealed, bound) = match version {
        Version::V1 => (seal(key, payload), None),
        Version::V2 => {
            let bound = seal_bound(key, payload, &BINDING);
            let added = Bound {
                not_after: BINDING.not_after,
                salt: bound.salt,
                commitment: bound.commitment,
            };
            (bound.sealed, Some(added))
        }
    };
    let record = EncryptedSessionRecord {
        key: BINDING.key.to_owned(),
        wrapped_key: WrappedKey(vec![1; 184]),
        sealed,
        ttl: EpochSeconds(1_800_000_000),
        bound,
    };
    record.to_item()
}

fn opened_item(key: &DataKey, item: &Item) -> Zeroizing<Vec<u8>> {
    let record = EncryptedSessionRecord::from_item(item).unwrap();
    match record.bound {
        None => open(key, record.sealed).unwrap(),
        Some(bound) => {
            let bound = BoundSeal {
                sealed: record.sealed,
                salt: bound.salt,
                commitment: bound.commitment,
            };
            open_bound(key, bound, &BINDING).unwrap()
        }
    }
}

/// Something to measure, any number of times.
type Variant<'a> = Box<dyn Fn() + 'a>;

fn variant<'a, T>(work: impl Fn() -> T + 'a) -> Variant<'a> {
    Box::new(move || {
        black_box(work());
    })
}

/// Microseconds for one run of each variant, in its fastest batch.
fn measure<const N: usize>(variants: &[Variant<'_>; N], turns: usize) -> [f64; N] {
    let runs = variants.each_ref().map(|variant| {
        let start = Instant::now();
        let mut runs = 0_u32;
        while start.elapsed() < BATCH {
            variant();
            runs += 1;
        }
        runs
    });
    let mut fastest = [f64::INFINITY; N];
    for _ in 0..turns {
        for ((variant, runs), fastest) in variants.iter().zip(runs).zip(&mut fastest) {
            let start = Instant::now();
            for _ in 0..runs {
                variant();
            }
            let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(runs);
            *fastest = fastest.min(micros);
        }
    }
    fastest
}

fn main() {
    // cargo bench says --bench; whoever else runs this wants to see that it runs.
    let turns = if std::env::args().any(|argument| argument == "--bench") {
        TURNS
    } else {
        1
    };
    let key = DataKey::new(Zeroizing::new(KEY.to_vec())).unwrap();
    let raw = Raw {
        rust: Aes256Gcm::new(&KEY.into()),
        lc: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap()),
    };
    println!("version 1: raw is AES-256-GCM and base64; version 2: AES-256-GCM alone");
    println!("   bytes  work     record µs  aes-gcm µs  aws-lc µs  record/aes-gcm  record/aws-lc");
    for size in SIZES {
        let plaintext: Vec<u8> = (b' '..b'~').cycle().take(size).collect();
        let (ciphertext, tag) = raw.rust_seal(&plaintext);
        let lc_sealed = raw.lc_seal(&plaintext);
        let text = BASE64.encode_to_string(&ciphertext);
        let lc_text = BASE64.encode_to_string(&lc_sealed);
        let first = sealed_item(Version::V1, &key, &plaintext);
        let second = sealed_item(Version::V2, &key, &plaintext);
        assert_eq!(*opened_item(&key, &first), plaintext);
        assert_eq!(*opened_item(&key, &second), plaintext);
        let decoded = |text: &str| BASE64.decode_to_vec(text).unwrap();
        let works: [(&str, [Variant<'_>; 3]); 4] = [
            (
                "1 seal",
                [
                    variant(|| sealed_item(Version::V1, &key, &plaintext)),
                    variant(|| BASE64.encode_to_string(raw.rust_seal(&plaintext).0)),
                    variant(|| BASE64.encode_to_string(raw.lc_seal(&plaintext))),
                ],
            ),
            (
                "1 open",
                [
                    variant(|| opened_item(&key, &first)),
                    variant(|| raw.rust_open(decoded(&text), tag)),
                    variant(|| raw.lc_open(decoded(&lc_text))),
                ],
            ),
            (
                "2 seal",
                [
                    variant(|| sealed_item(Version::V2, &key, &plaintext)),
                    variant(|| raw.rust_seal(&plaintext)),
                    variant(|| raw.lc_seal(&plaintext)),
                ],
            ),
            (
                "2 open",
                [
                    variant(|| opened_item(&key, &second)),
                    variant(|| raw.rust_open(ciphertext.clone(), tag)),
                    variant(|| raw.lc_open(lc_sealed.clone())),
                ],
            ),
        ];
        for (work, variants) in works {
            let [record, rust, lc] = measure(&variants, turns);
            let (to_rust, to_lc) = (record / rust, record / lc);
            println!(
                "{size:8}  {work}  {record:11.2} {rust:11.2} {lc:10.2} {to_rust:15.2} {to_lc:14.2}"
            );
        }
    }
}
