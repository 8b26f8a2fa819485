//! The envelope without a table, as Node.js sees it.

use std::collections::{BTreeMap, HashMap};

use base64_simd::STANDARD as BASE64;
use napi::bindgen_prelude::{Either, FnArgs, Function, ToNapiValue, Uint8Array};
use napi::{Env, Result as NapiResult, sys};
use napi_derive::napi;

use super::host::Host;
use super::objects::{Failure, KeyCacheStats, RequestStats};
use super::replies::Slot;
use super::{Reply, Variables, environment, reply};
use crate::assembly;
use crate::aws::Timeouts;
use crate::call::{self, Caller};
use crate::config::EnvelopeConfig;
use crate::crypto::data_key::WrappedKey;
use crate::crypto::envelope::{BoundSeal, Sealed};
use crate::crypto::plaintext::{Plaintext, text};
use crate::envelope::{Envelope, Kind, SealedEnvelope, plain};
use crate::error::{Error, Result};
use crate::keys::DataKeys;
use crate::keys::cache::CacheCounters;
use crate::record::{decode_base64, decode_base64_array};

/// The four base64 strings of an envelope without a context.
#[napi(object, object_from_js = false)]
pub struct PlainEnvelope {
    pub encrypted_data: String,
    pub encrypted_key: String,
    pub iv: String,
    pub auth_tag: String,
}

async fn with_default_keys<T, F: Future<Output = Result<T>>>(
    variables: &Variables,
    work: impl FnOnce(Box<dyn DataKeys>) -> F,
) -> Result<T> {
    call::guarded(async {
        let keys = assembly::default_keys(&environment(variables))?;
        call::within(Some(Timeouts::DEFAULT.call), Caller::default(), work(keys)).await
    })
    .await
}

/// Seals a text under a new data key of the environment's KMS key.
#[napi]
#[allow(clippy::implicit_hasher)] // napi makes the map
pub async fn encrypt(data: String, variables: Variables) -> Reply<PlainEnvelope> {
    let plaintext = Plaintext::new(data.into_bytes());
    let result = with_default_keys(&variables, |keys| async move {
        plain::encrypt(&*keys, plaintext).await
    });
    reply(result.await, |sealed| PlainEnvelope {
        encrypted_data: sealed.encrypted_data,
        encrypted_key: sealed.encrypted_key,
        iv: sealed.iv,
        auth_tag: sealed.auth_tag,
    })
}

/// Opens what `encrypt` gave.
#[napi]
#[allow(clippy::implicit_hasher)] // as above
pub async fn decrypt(
    encrypted_data: String,
    encrypted_key: String,
    iv: String,
    auth_tag: String,
    variables: Variables,
) -> Reply<Plaintext<String>> {
    let data = plain::EncryptionResult {
        encrypted_data,
        encrypted_key,
        iv,
        auth_tag,
    };
    let result = with_default_keys(&variables, |keys| async move {
        plain::decrypt(&*keys, &data).await
    });
    reply(result.await, |text| text)
}

/// A sealed envelope: its kind, `text` or `bytes`, and base64.
#[napi(object)]
pub struct BoundEnvelope {
    #[napi(js_name = "type", ts_type = "'text' | 'bytes'")]
    pub kind: String,
    pub encrypted_data: String,
    pub encrypted_key: String,
    pub iv: String,
    pub auth_tag: String,
    pub salt: String,
    pub commit: String,
}

impl From<SealedEnvelope> for BoundEnvelope {
    fn from(sealed: SealedEnvelope) -> BoundEnvelope {
        let base64 = |bytes: &[u8]| BASE64.encode_to_string(bytes);
        let BoundSeal {
            sealed: envelope,
            salt,
            commitment,
        } = sealed.bound;
        BoundEnvelope {
            kind: sealed.kind.name().to_owned(),
            encrypted_data: base64(&envelope.ciphertext),
            encrypted_key: base64(&sealed.wrapped_key.0),
            iv: base64(&envelope.iv),
            auth_tag: base64(&envelope.tag),
            salt: base64(&salt),
            commit: base64(&commitment),
        }
    }
}

impl BoundEnvelope {
    /// Everything is checked before KMS is called.
    fn parse(&self) -> Result<SealedEnvelope> {
        Ok(SealedEnvelope {
            kind: Kind::named(&self.kind).ok_or_else(Error::integrity)?,
            wrapped_key: WrappedKey::from_stored(decode_base64(&self.encrypted_key)?)?,
            bound: BoundSeal {
                sealed: Sealed {
                    iv: decode_base64_array(&self.iv)?,
                    ciphertext: decode_base64(&self.encrypted_data)?,
                    tag: decode_base64_array(&self.auth_tag)?,
                },
                salt: decode_base64_array(&self.salt)?,
                commitment: decode_base64_array(&self.commit)?,
            },
        })
    }
}

/// What was opened, on its way to JavaScript.
pub enum Opened {
    Text(Plaintext<String>),
    Bytes(Plaintext),
}

impl ToNapiValue for Opened {
    /// Our copy is wiped as soon as JavaScript has its own.
    unsafe fn to_napi_value(env: sys::napi_env, value: Self) -> NapiResult<sys::napi_value> {
        match value {
            // SAFETY: the same environment, handed through.
            Opened::Text(text) => unsafe { ToNapiValue::to_napi_value(env, text) },
            Opened::Bytes(bytes) => {
                let copy =
                    napi::bindgen_prelude::BufferSlice::copy_from(&Env::from_raw(env), &*bytes)?;
                // SAFETY: as above.
                unsafe { ToNapiValue::to_napi_value(env, copy) }
            }
        }
    }
}

/// An envelope that JavaScript holds.
#[napi]
pub struct NativeEnvelope {
    host: Host<Envelope>,
    cache_counters: CacheCounters,
}

/// Checks the options (JSON) and makes an envelope; does no I/O. `deliver` as in `open_store`.
#[napi(
    catch_unwind,
    ts_args_type = "options: string, variables: Record<string, string>, deliver: (replies: unknown[]) => void"
)]
#[allow(clippy::needless_pass_by_value, clippy::implicit_hasher)] // napi hands over what it made
pub fn open_envelope(
    options: String,
    variables: Variables,
    deliver: Function<'_, FnArgs<(Vec<Slot>,)>, ()>,
) -> NapiResult<Either<NativeEnvelope, Failure>> {
    let opened = EnvelopeConfig::parse(&options, &environment(&variables)).and_then(|config| {
        let call_timeout = config.call_timeout();
        Ok((assembly::envelope(config)?, call_timeout))
    });
    Ok(match opened {
        Ok((envelope, call_timeout)) => Either::A(NativeEnvelope {
            cache_counters: envelope.cache_counters(),
            host: Host::new(envelope, call_timeout, &deliver)?,
        }),
        Err(error) => Either::B(error.into()),
    })
}

/// `call` is the number that the reply is delivered with.
#[napi]
impl NativeEnvelope {
    #[napi(catch_unwind)]
    #[allow(clippy::needless_pass_by_value)] // as above
    pub fn seal(
        &self,
        env: Env,
        call: f64,
        data: Either<String, Uint8Array>,
        context: HashMap<String, String>,
    ) -> NapiResult<()> {
        // Copied at once: the caller may change its bytes when this returns.
        let (kind, data) = match data {
            Either::A(text) => (Kind::Text, Plaintext::new(text.into_bytes())),
            Either::B(bytes) => (Kind::Bytes, Plaintext::new(bytes.to_vec())),
        };
        self.host.run(env, call, move |envelope| async move {
            let context = BTreeMap::from_iter(context);
            let sealed = envelope.seal(kind, data, context).await?;
            Ok(BoundEnvelope::from(sealed))
        })
    }

    #[napi(catch_unwind)]
    pub fn open(
        &self,
        env: Env,
        call: f64,
        sealed: BoundEnvelope,
        context: HashMap<String, String>,
    ) -> NapiResult<()> {
        self.host.run(env, call, move |envelope| async move {
            let sealed = sealed.parse()?;
            let kind = sealed.kind;
            let data = envelope.open(sealed, BTreeMap::from_iter(context)).await?;
            Ok(match kind {
                Kind::Text => Opened::Text(text(data)?),
                Kind::Bytes => Opened::Bytes(data),
            })
        })
    }

    #[napi(catch_unwind)]
    pub fn key_cache_stats(&self) -> KeyCacheStats {
        self.cache_counters.read().into()
    }

    #[napi(catch_unwind)]
    pub fn request_stats(&self) -> RequestStats {
        self.host.requests.as_ref().into()
    }

    /// As of a store.
    #[napi(catch_unwind)]
    pub fn observe(&self, on: bool) {
        self.host.requests.observation.switch(on);
    }

    #[napi(catch_unwind)]
    pub fn close(&self, env: Env, call: f64) -> NapiResult<()> {
        self.host.begin_close();
        self.host.close(env, call, |envelope, last| async move {
            envelope.close(last).await;
        })
    }
}
