//! Sealing and opening with AES-256-GCM (NIST SP 800-38D). Pure: a data key and bytes in, bytes out.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand::TryRng;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use crate::data_keys::DataKey;
use crate::error::{Error, Result};

/// Bytes of a GCM initialisation vector: the 96 bits that SP 800-38D §8.2 recommends.
pub const IV_LENGTH: usize = 12;

/// Bytes of a GCM authentication tag: the full 128 bits.
pub const TAG_LENGTH: usize = 16;

/// The IV a session was sealed with.
pub type Iv = [u8; IV_LENGTH];

/// The authentication tag; new with every write, so it is also the record's revision.
pub type AuthTag = [u8; TAG_LENGTH];

/// A sealed session, without the wrapped key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// What the cipher was started with.
    pub iv: Iv,
    /// As long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// What proves that nothing was changed.
    pub tag: AuthTag,
}

/// Encrypts `plaintext` in place, under 12 fresh random bytes of IV from the operating system.
///
/// # Panics
/// If the operating system gives no random bytes: nothing may be sealed then.
#[must_use]
pub fn seal(key: &DataKey, mut plaintext: Zeroizing<Vec<u8>>) -> Sealed {
    let mut iv: Iv = [0; IV_LENGTH];
    SysRng
        .try_fill_bytes(&mut iv)
        .expect("random bytes from the operating system");
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::from(iv), b"", plaintext.as_mut_slice().into())
        .expect("a session is far below GCM's 64 GiB limit");
    Sealed {
        iv,
        ciphertext: std::mem::take(&mut plaintext),
        tag: tag.into(),
    }
}

/// Decrypts in place, after the tag has been checked in constant time.
///
/// # Errors
/// `ERR_INTEGRITY` if key, IV, ciphertext and tag do not belong together.
pub fn open(key: &DataKey, sealed: Sealed) -> Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(sealed.ciphertext);
    cipher(key)
        .decrypt_inout_detached(
            &Nonce::from(sealed.iv),
            b"",
            buffer.as_mut_slice().into(),
            &Tag::from(sealed.tag),
        )
        .map_err(|_| Error::integrity())?;
    Ok(buffer)
}

fn cipher(key: &DataKey) -> Aes256Gcm {
    Aes256Gcm::new_from_slice(key.bytes()).expect("a DataKey has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::new(Zeroizing::new(vec![byte; 32])).unwrap()
    }

    fn plaintext() -> Zeroizing<Vec<u8>> {
        Zeroizing::new(b"{\"cookie\":{}}".to_vec())
    }

    #[test]
    fn what_was_sealed_opens() {
        let sealed = seal(&key(1), plaintext());
        assert_ne!(sealed.ciphertext, *plaintext());
        assert_eq!(*open(&key(1), sealed).unwrap(), *plaintext());
    }

    #[test]
    fn nothing_opens_under_another_key_iv_tag_or_ciphertext() {
        let sealed = seal(&key(1), plaintext());
        assert!(open(&key(2), sealed.clone()).is_err());
        let mut changed = sealed.clone();
        changed.iv[0] ^= 1;
        assert!(open(&key(1), changed).is_err());
        let mut changed = sealed.clone();
        changed.tag[15] ^= 1;
        assert!(open(&key(1), changed).is_err());
        let mut changed = sealed;
        changed.ciphertext[3] ^= 1;
        assert_eq!(open(&key(1), changed).unwrap_err().code(), "ERR_INTEGRITY");
    }

    #[test]
    fn every_seal_takes_a_new_iv() {
        let ivs: std::collections::HashSet<Iv> =
            (0..1000).map(|_| seal(&key(1), plaintext()).iv).collect();
        assert_eq!(ivs.len(), 1000);
    }

    #[test]
    fn a_data_key_has_32_bytes() {
        assert!(DataKey::new(Zeroizing::new(vec![0; 31])).is_err());
        assert!(DataKey::new(Zeroizing::new(vec![0; 33])).is_err());
    }

    /// Test case 15 of the GCM specification (`McGrew` and Viega, 2005): AES-256, no AAD.
    #[test]
    fn the_specifications_vector_opens() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect()
        };
        let half = "feffe9928665731c6d6a8f9467308308";
        let key = DataKey::new(Zeroizing::new(hex(&format!("{half}{half}")))).unwrap();
        let sealed = Sealed {
            iv: hex("cafebabefacedbaddecaf888").try_into().unwrap(),
            ciphertext: hex(
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            ),
            tag: hex("b094dac5d93471bdec1a502270e3cc6c").try_into().unwrap(),
        };
        let expected = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        );
        assert_eq!(*open(&key, sealed).unwrap(), expected);
    }
}
