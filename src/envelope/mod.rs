//! The envelope without a table: [`Envelope`] seals texts and bytes for a context, and [`plain`] is
//! its simplest case, without one.

pub mod plain;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crypto::data_key::WrappedKey;
use crate::crypto::envelope::{
    Binding, BoundSeal, Purpose, length_prefixed, open_bound, seal_bound,
};
use crate::crypto::plaintext::Plaintext;
use crate::error::Result;
use crate::keys::EncryptionContext;
use crate::keys::cache::{CacheCounters, KeyCache};

/// The first field of the AAD. No other data is ever authenticated under this label.
const AAD_LABEL: &[u8] = b"connect-dynamodb-kms envelope";
/// The version of the envelope's format in the AAD.
const AAD_VERSION: u16 = 1;
/// HKDF-SHA256 with key commitment, then AES-256-GCM with a 12-byte IV and a 16-byte tag.
const AAD_SUITE: u16 = 1;

/// The name under which the cache keeps the data key that seals now. A data key that is unwrapped
/// to open something never takes its place.
const CURRENT: &str = "current";
/// The name for data keys that were unwrapped.
const UNWRAPPED: &str = "unwrapped";

/// What was sealed. It is authenticated, so bytes never come back as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text in UTF-8.
    Text,
    /// Any bytes.
    Bytes,
}

impl Kind {
    /// Its name in a sealed envelope and in the AAD.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Bytes => "bytes",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Kind> {
        [Kind::Text, Kind::Bytes]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// What a sealed envelope is bound to.
pub struct EnvelopeAad<'a> {
    /// What was sealed.
    pub kind: Kind,
    /// The canonical bytes of the caller's context.
    pub context: &'a [u8],
}

impl Binding for EnvelopeAad<'_> {
    fn purpose(&self) -> Purpose {
        Purpose::Envelope
    }

    /// Label, version, suite, kind and context. Each comes after its length in bytes as 32 bits. All
    /// numbers are big-endian.
    fn bytes(&self) -> Vec<u8> {
        length_prefixed(&[
            AAD_LABEL,
            &AAD_VERSION.to_be_bytes(),
            &AAD_SUITE.to_be_bytes(),
            self.kind.name().as_bytes(),
            self.context,
        ])
    }
}

/// A sealed text, or sealed bytes.
pub struct SealedEnvelope {
    /// What was sealed.
    pub kind: Kind,
    /// The data key.
    pub wrapped_key: WrappedKey,
    /// The rest.
    pub bound: BoundSeal,
}

/// Seals and opens under data keys that are kept in a cache.
pub struct Envelope {
    keys: KeyCache,
    context: Arc<EncryptionContext>,
}

impl Envelope {
    /// With the data keys of `keys`, which are wrapped for `pairs` and the purpose.
    #[must_use]
    pub fn new(keys: KeyCache, pairs: BTreeMap<String, String>) -> Envelope {
        let context = Arc::new(EncryptionContext::new(context_of_envelopes(pairs)));
        Envelope { keys, context }
    }

    /// Seals `data` for `context`: it opens only for the same names and values.
    ///
    /// # Errors
    /// Those of [`DataKeys::generate`](crate::keys::DataKeys::generate).
    pub async fn seal(
        &self,
        kind: Kind,
        data: Plaintext,
        context: BTreeMap<String, String>,
    ) -> Result<SealedEnvelope> {
        let since = self.keys.since();
        let (key, wrapped_key) = self
            .keys
            .for_save(CURRENT, &self.context, data.len(), &since)
            .await?;
        let context = &EncryptionContext::new(context).canonical();
        let bound = seal_bound(&key, data, &EnvelopeAad { kind, context });
        Ok(SealedEnvelope {
            kind,
            wrapped_key,
            bound,
        })
    }

    /// Opens what [`Envelope::seal`] gave for the same context.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` if anything was changed, or it was sealed for another context; those of
    /// [`DataKeys::decrypt`](crate::keys::DataKeys::decrypt).
    pub async fn open(
        &self,
        sealed: SealedEnvelope,
        context: BTreeMap<String, String>,
    ) -> Result<Plaintext> {
        let since = self.keys.since();
        let (key, _) = self
            .keys
            .for_read(UNWRAPPED, &sealed.wrapped_key, &self.context, &since)
            .await?;
        let context = &EncryptionContext::new(context).canonical();
        let kind = sealed.kind;
        open_bound(&key, sealed.bound, &EnvelopeAad { kind, context })
    }

    /// What happens in the cache of data keys.
    #[must_use]
    pub fn cache_counters(&self) -> CacheCounters {
        self.keys.counters()
    }

    /// Wipes the cached data keys, after the revocation checks under way. They are broken off when
    /// `last` resolves.
    pub async fn close(&self, last: impl Future<Output = ()>) {
        self.keys.close(last).await;
    }
}

/// The encryption context of envelopes, with the caller's own pairs.
#[must_use]
pub fn context_of_envelopes(mut own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    own.insert("purpose".to_owned(), "envelope".to_owned());
    own
}
