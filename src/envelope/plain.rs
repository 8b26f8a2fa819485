//! The envelope on its own: encrypts a text into four base64 strings, and decrypts it.

use base64_simd::STANDARD as BASE64;

use crate::crypto::data_key::WrappedKey;
use crate::crypto::envelope::{self, Sealed};
use crate::crypto::plaintext::Plaintext;
use crate::crypto::plaintext::text;
use crate::error::Result;
use crate::keys::{DataKeys, EncryptionContext};
use crate::record::{decode_base64, decode_base64_array};

/// The four attributes of a version 1 record that hold the envelope, in base64.
pub struct EncryptionResult {
    /// The ciphertext.
    pub encrypted_data: String,
    /// The wrapped data key.
    pub encrypted_key: String,
    /// 12 bytes.
    pub iv: String,
    /// 16 bytes.
    pub auth_tag: String,
}

/// Seals `plaintext` under a new data key.
///
/// # Errors
/// Those of [`DataKeys::generate`].
pub async fn encrypt(keys: &dyn DataKeys, plaintext: Plaintext) -> Result<EncryptionResult> {
    let (key, wrapped) = keys.generate(&EncryptionContext::default()).await?;
    let sealed = envelope::seal(&key, plaintext);
    Ok(EncryptionResult {
        encrypted_data: BASE64.encode_to_string(&sealed.ciphertext),
        encrypted_key: BASE64.encode_to_string(&wrapped.0),
        iv: BASE64.encode_to_string(sealed.iv),
        auth_tag: BASE64.encode_to_string(sealed.tag),
    })
}

/// Opens the result of [`encrypt`]. Everything is checked before KMS is called.
///
/// # Errors
/// `ERR_INTEGRITY` if anything was changed or malformed, `ERR_SERIALIZATION` if it is not UTF-8,
/// and those of [`DataKeys::decrypt`].
pub async fn decrypt(keys: &dyn DataKeys, data: &EncryptionResult) -> Result<Plaintext<String>> {
    let sealed = Sealed {
        iv: decode_base64_array(&data.iv)?,
        ciphertext: decode_base64(&data.encrypted_data)?,
        tag: decode_base64_array(&data.auth_tag)?,
    };
    let wrapped = WrappedKey::from_stored(decode_base64(&data.encrypted_key)?)?;
    let (key, _) = keys
        .decrypt(&wrapped, &EncryptionContext::default())
        .await?;
    text(envelope::open(&key, sealed)?)
}
