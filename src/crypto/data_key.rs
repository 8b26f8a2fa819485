//! The types that hold a data key: in the clear, and wrapped.

use zeroize::Zeroizing;

use super::envelope::Ciphers;
use crate::error::{Error, Result};

/// The length of a data key in bytes: AES-256's (FIPS 197).
pub const DATA_KEY_LENGTH: usize = 32;

/// A data key in the clear, with the ciphers made from it. Neither `Clone` nor `Debug`. All of it
/// is overwritten when it is dropped.
pub struct DataKey {
    bytes: Zeroizing<Vec<u8>>,
    pub(crate) ciphers: Ciphers,
}

impl DataKey {
    /// Takes over the buffer that holds the key, so that no second copy remains.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` if it is not 32 bytes long.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<DataKey> {
        if bytes.len() == DATA_KEY_LENGTH {
            Ok(DataKey {
                bytes,
                ciphers: Ciphers::default(),
            })
        } else {
            Err(Error::integrity())
        }
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A data key as it is in the record, encrypted by the key encryption key. Only KMS can interpret
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrappedKey(pub Vec<u8>);

/// The lengths that KMS accepts as `CiphertextBlob` (AWS KMS API Reference, "Decrypt"). It refuses
/// others as malformed requests.
const WRAPPED_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 1..=6144;

impl WrappedKey {
    /// From a record.
    ///
    /// # Errors
    /// `ERR_INTEGRITY` for a length that KMS would refuse.
    pub fn from_stored(bytes: Vec<u8>) -> Result<WrappedKey> {
        if WRAPPED_KEY_LENGTHS.contains(&bytes.len()) {
            Ok(WrappedKey(bytes))
        } else {
            Err(Error::integrity())
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::super::envelope::cipher_of;
    use super::*;

    fn overwritten_on_drop<T: ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn the_bytes_of_a_data_key_are_overwritten_when_it_is_dropped() {
        let key = DataKey::new(Zeroizing::new(vec![1; DATA_KEY_LENGTH])).unwrap();
        overwritten_on_drop(&key.bytes);
        assert_eq!(key.bytes(), [1; DATA_KEY_LENGTH]);
        overwritten_on_drop(cipher_of(&key));
    }

    #[test]
    fn a_wrapped_key_has_a_length_that_kms_takes() {
        assert!(WrappedKey::from_stored(vec![]).is_err());
        assert!(WrappedKey::from_stored(vec![0; 6144]).is_ok());
        assert!(WrappedKey::from_stored(vec![0; 6145]).is_err());
    }
}
