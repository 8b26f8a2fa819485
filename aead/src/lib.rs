//! AES-256-GCM (NIST SP 800-38D) of the crate `aes-gcm`, in place.
//!
//! This is a crate of its own so that it can be compiled for speed. `aes-gcm` is generic, so its
//! code is compiled with the settings of the crate that names the types. The rest of the store is
//! compiled for size, in which this code takes twenty times as long.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::ZeroizeOnDrop;

/// The round keys of AES-256 and the table of GHASH that belong to a key. Both are overwritten when
/// they are dropped.
pub struct Cipher(Aes256Gcm);

impl ZeroizeOnDrop for Cipher {}

/// The tag does not match key, IV, additional data and ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongTag;

impl Cipher {
    /// Expands a key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Cipher {
        Cipher(Aes256Gcm::new(key.into()))
    }

    /// Encrypts `buffer` and returns the tag. An IV must never be used twice under one key.
    ///
    /// # Panics
    /// Above GCM's limit of 64 GiB.
    #[must_use]
    pub fn encrypt(&self, iv: &[u8; 12], aad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
        let tag = self.0.encrypt_inout_detached(iv.into(), aad, buffer.into());
        tag.expect("fewer bytes than GCM's limit").into()
    }

    /// Compares the tag in constant time, then decrypts `buffer`. If the tag is wrong, `buffer`
    /// does not change.
    ///
    /// # Errors
    /// The tag is wrong.
    pub fn decrypt(
        &self,
        iv: &[u8; 12],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), WrongTag> {
        self.0
            .decrypt_inout_detached(iv.into(), aad, buffer.into(), tag.into())
            .map_err(|_| WrongTag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overwritten_on_drop<T: ZeroizeOnDrop>(_: &T) {}

    #[test]
    fn what_was_encrypted_decrypts_and_a_wrong_tag_leaves_it_encrypted() {
        let cipher = Cipher::new(&[1; 32]);
        overwritten_on_drop(&cipher.0);
        let mut buffer = *b"plaintext";
        let mut tag = cipher.encrypt(&[2; 12], b"beside", &mut buffer);
        let encrypted = buffer;
        assert_ne!(encrypted, *b"plaintext");
        tag[15] ^= 1;
        let refused = cipher.decrypt(&[2; 12], b"beside", &mut buffer, &tag);
        assert_eq!((refused, buffer), (Err(WrongTag), encrypted));
        tag[15] ^= 1;
        cipher
            .decrypt(&[2; 12], b"beside", &mut buffer, &tag)
            .expect("the tag of this ciphertext");
        assert_eq!(buffer, *b"plaintext");
    }
}
