//! Seals and opens with AES-256-GCM (NIST SP 800-38D). This module is pure: a data key and bytes
//! in, bytes out.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use connect_dynamodb_kms_aead::Cipher;
use hkdf::Hkdf;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::data_key::{DATA_KEY_LENGTH, DataKey};
use crate::crypto::plaintext::Plaintext;
use crate::error::{Error, Result};
use crate::time::EpochSeconds;

/// Bytes of a GCM initialization vector: the 96 bits that SP 800-38D §8.2 recommends.
pub const IV_LENGTH: usize = 12;

/// Bytes of a GCM authentication tag: the full 128 bits.
pub const TAG_LENGTH: usize = 16;

/// The IV that a session was sealed with.
pub type Iv = [u8; IV_LENGTH];

/// The authentication tag; new with every write, so it is also the record's revision.
pub type AuthTag = [u8; TAG_LENGTH];

/// A sealed session, without the wrapped key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The IV of the encryption.
    pub iv: Iv,
    /// The encrypted session, as long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// The authentication tag, which proves that nothing was changed.
    pub tag: AuthTag,
}

/// Random bytes from which the keys of a version 2 record are derived. A process keeps them as long
/// as the data key, so that the derived keys can be kept too.
pub type Salt = [u8; 16];

/// Commits a version 2 record to its data key, without revealing the key.
pub type Commitment = [u8; 32];

/// What a ciphertext is bound to. It cannot be opened as anything else, nor as anything of another
/// purpose.
pub trait Binding {
    /// What the keys are derived for.
    fn purpose(&self) -> Purpose;

    /// The additional authenticated data.
    fn bytes(&self) -> Vec<u8>;
}

/// What keys are derived for. Each purpose has labels of its own in HKDF and in the AAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session's record of version 2.
    Session,
    /// What `createEnvelope` seals.
    Envelope,
}

impl Purpose {
    /// HKDF's `info` for the key of AES-256-GCM.
    fn encryption_label(self) -> &'static [u8] {
        match self {
            Purpose::Session => b"connect-dynamodb-kms v2 encryption key",
            Purpose::Envelope => b"connect-dynamodb-kms envelope v1 encryption key",
        }
    }

    /// HKDF's `info` for the commitment.
    fn commitment_label(self) -> &'static [u8] {
        match self {
            Purpose::Session => b"connect-dynamodb-kms v2 key commitment",
            Purpose::Envelope => b"connect-dynamodb-kms envelope v1 key commitment",
        }
    }
}

/// What a version 2 record is bound to. It cannot be opened as anything else.
#[derive(Clone, Copy)]
pub struct Aad<'a> {
    /// The latest moment to which the session can live, whatever its `ttl` says.
    pub not_after: EpochSeconds,
    /// The name of the table.
    pub table: &'a str,
    /// The record's partition key.
    pub key: &'a str,
}

/// A session sealed for one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundSeal {
    /// The envelope.
    pub sealed: Sealed,
    /// The salt that the keys were derived with.
    pub salt: Salt,
    /// The commitment of the record to its data key.
    pub commitment: Commitment,
}

/// The first field of the AAD. No other data is ever authenticated under this label.
const AAD_LABEL: &[u8] = b"connect-dynamodb-kms session";
/// The record's version in the AAD.
const AAD_VERSION: u16 = 2;
/// HKDF-SHA256 with key commitment, then AES-256-GCM with a 12-byte IV and a 16-byte tag.
const AAD_SUITE: u16 = 1;

impl Aad<'_> {
    /// The additional authenticated data: label, version, suite, `notAfter`, table and partition
    /// key. Each comes after its length in bytes as 32 bits. All numbers are big-endian.
    ///
    /// # Panics
    /// If a field has 4 GiB or more.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        length_prefixed(&[
            AAD_LABEL,
            &AAD_VERSION.to_be_bytes(),
            &AAD_SUITE.to_be_bytes(),
            &self.not_after.0.to_be_bytes(),
            self.table.as_bytes(),
            self.key.as_bytes(),
        ])
    }
}

impl Binding for Aad<'_> {
    fn purpose(&self) -> Purpose {
        Purpose::Session
    }

    fn bytes(&self) -> Vec<u8> {
        Aad::bytes(self)
    }
}

/// The fields, each after its length in bytes as 32 bits, big-endian.
///
/// # Panics
/// If a field has 4 GiB or more.
pub(crate) fn length_prefixed(fields: &[&[u8]]) -> Vec<u8> {
    let mut aad = Vec::with_capacity(fields.iter().map(|field| 4 + field.len()).sum());
    for field in fields {
        let length = u32::try_from(field.len()).expect("a field below 4 GiB");
        aad.extend_from_slice(&length.to_be_bytes());
        aad.extend_from_slice(field);
    }
    aad
}

/// The ciphers of a data key, made once and kept with it: AES's round keys and GCM's table. Both
/// are overwritten when they are dropped (`zeroize` of `aes-gcm`).
#[derive(Default)]
pub(crate) struct Ciphers {
    /// Under the data key itself, for version 1.
    whole: OnceLock<Cipher>,
    /// Under the key that was derived last, for what is bound.
    derived: Mutex<Option<Arc<Derived>>>,
}

/// The output of HKDF for a data key, a purpose and a salt.
struct Derived {
    purpose: Purpose,
    salt: Salt,
    cipher: Cipher,
    commitment: Commitment,
}

/// Encrypts `plaintext` in place for a version 1 record, under a new IV of 12 random bytes from the
/// operating system.
///
/// # Panics
/// If the operating system gives no random bytes, because nothing may be sealed then.
#[must_use]
pub fn seal(key: &DataKey, plaintext: Plaintext) -> Sealed {
    encrypt(cipher_of(key), b"", plaintext)
}

/// Decrypts a version 1 record in place. The tag is compared in constant time, before anything is
/// decrypted.
///
/// # Errors
/// `ERR_INTEGRITY` if key, IV, ciphertext and tag do not belong together.
pub fn open(key: &DataKey, sealed: Sealed) -> Result<Plaintext> {
    decrypt(cipher_of(key), b"", sealed)
}

/// Seals under a key that is derived from the data key with a salt, bound to one place: a version 2
/// record, or what `createEnvelope` seals.
///
/// # Panics
/// As [`seal`].
#[must_use]
pub fn seal_bound(key: &DataKey, plaintext: Plaintext, aad: &impl Binding) -> BoundSeal {
    let purpose = aad.purpose();
    let derived = {
        let mut last = lock(key);
        match &*last {
            Some(derived) if derived.purpose == purpose => derived.clone(),
            _ => last
                .insert(Arc::new(derive(key, purpose, &random())))
                .clone(),
        }
    };
    BoundSeal {
        sealed: encrypt(&derived.cipher, &aad.bytes(), plaintext),
        salt: derived.salt,
        commitment: derived.commitment,
    }
}

/// Opens the result of [`seal_bound`]. The commitment is compared in constant time, before anything
/// is decrypted.
///
/// # Errors
/// `ERR_INTEGRITY` if it was sealed under another data key or for another place, or was changed.
pub fn open_bound(key: &DataKey, bound: BoundSeal, aad: &impl Binding) -> Result<Plaintext> {
    let purpose = aad.purpose();
    let last = lock(key)
        .clone()
        .filter(|derived| derived.purpose == purpose && derived.salt == bound.salt);
    let known = last.is_some();
    let derived = last.unwrap_or_else(|| Arc::new(derive(key, purpose, &bound.salt)));
    if !bool::from(derived.commitment.ct_eq(&bound.commitment)) {
        return Err(Error::integrity());
    }
    let plaintext = decrypt(&derived.cipher, &aad.bytes(), bound.sealed)?;
    // Keep a derived key, and seal with it, only if it comes from a genuine record.
    if !known {
        *lock(key) = Some(derived);
    }
    Ok(plaintext)
}

/// AES-256-GCM under the data key itself.
pub(crate) fn cipher_of(key: &DataKey) -> &Cipher {
    key.ciphers.whole.get_or_init(|| cipher(key.bytes()))
}

fn lock(key: &DataKey) -> std::sync::MutexGuard<'_, Option<Arc<Derived>>> {
    let derived = key.ciphers.derived.lock();
    derived.unwrap_or_else(PoisonError::into_inner)
}

/// HKDF with SHA-256 (RFC 5869): extract with the salt, expand under the purpose's two labels.
fn derive(key: &DataKey, purpose: Purpose, salt: &Salt) -> Derived {
    let hkdf = Hkdf::<Sha256>::new(Some(salt), key.bytes());
    let mut encryption = Zeroizing::new([0; DATA_KEY_LENGTH]);
    let mut commitment = [0; 32];
    let length = "32 bytes are within HKDF's limit";
    hkdf.expand(purpose.encryption_label(), &mut *encryption)
        .expect(length);
    hkdf.expand(purpose.commitment_label(), &mut commitment)
        .expect(length);
    Derived {
        purpose,
        salt: *salt,
        cipher: cipher(&*encryption),
        commitment,
    }
}

/// AES-256-GCM under a fresh IV.
pub(crate) fn encrypt(cipher: &Cipher, aad: &[u8], mut plaintext: Plaintext) -> Sealed {
    let iv: Iv = random();
    let tag = cipher.encrypt(&iv, aad, &mut plaintext);
    Sealed {
        iv,
        ciphertext: plaintext.take(),
        tag,
    }
}

/// The reverse of [`encrypt`]. Decrypts nothing before the tag has been verified.
pub(crate) fn decrypt(cipher: &Cipher, aad: &[u8], sealed: Sealed) -> Result<Plaintext> {
    let mut buffer = Plaintext::new(sealed.ciphertext);
    cipher
        .decrypt(&sealed.iv, aad, &mut buffer, &sealed.tag)
        .map_err(|_| Error::integrity())?;
    Ok(buffer)
}

/// AES-256-GCM under a key of 32 bytes.
fn cipher(key: &[u8]) -> Cipher {
    Cipher::new(key.try_into().expect("keys here have 32 bytes"))
}

/// Random bytes from the operating system, fetched when they are needed: a process that was copied
/// (forked, or restored from a snapshot) never uses the same bytes twice.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .expect("random bytes from the operating system");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::new(Zeroizing::new(vec![byte; 32])).unwrap()
    }

    fn plaintext() -> Plaintext {
        Plaintext::new(b"{\"cookie\":{}}".to_vec())
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
        assert_eq!(
            open(&key(1), changed).err().unwrap().code(),
            "ERR_INTEGRITY"
        );
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

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Test case 15 of the GCM specification (`McGrew` and Viega, 2005): AES-256, no AAD.
    #[test]
    fn the_specifications_vector_opens() {
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

    fn aad(key: &str) -> Aad<'_> {
        Aad {
            not_after: EpochSeconds(1_800_000_000),
            table: "sessions",
            key,
        }
    }

    #[test]
    fn what_was_sealed_for_a_place_opens_there_and_nowhere_else() {
        let bound = seal_bound(&key(1), plaintext(), &aad("app:a"));
        let opened = |key: &DataKey, aad: &Aad<'_>| open_bound(key, bound.clone(), aad);
        assert_eq!(*opened(&key(1), &aad("app:a")).unwrap(), *plaintext());
        assert!(opened(&key(1), &aad("app:b")).is_err());
        assert!(opened(&key(2), &aad("app:a")).is_err());
        let elsewhere = Aad {
            table: "others",
            ..aad("app:a")
        };
        assert!(opened(&key(1), &elsewhere).is_err());
        let longer = Aad {
            not_after: EpochSeconds(1_800_000_001),
            ..aad("app:a")
        };
        assert_eq!(
            opened(&key(1), &longer).err().unwrap().code(),
            "ERR_INTEGRITY"
        );
        // Table and session differ, but their concatenation is the same.
        let shifted = Aad {
            table: "sessionsa",
            key: "pp:a",
            ..aad("")
        };
        assert!(opened(&key(1), &shifted).is_err());
    }

    #[test]
    fn a_changed_salt_commitment_or_envelope_does_not_open() {
        let bound = seal_bound(&key(1), plaintext(), &aad("a"));
        let mut changed = bound.clone();
        changed.salt[0] ^= 1;
        assert!(open_bound(&key(1), changed, &aad("a")).is_err());
        let mut changed = bound.clone();
        changed.commitment[31] ^= 1;
        assert!(open_bound(&key(1), changed, &aad("a")).is_err());
        let mut changed = bound;
        changed.sealed.tag[0] ^= 1;
        assert!(open_bound(&key(1), changed, &aad("a")).is_err());
    }

    #[test]
    fn the_salt_stays_with_the_data_key_and_the_iv_does_not() {
        let first = key(1);
        let [a, b] = [(), ()].map(|()| seal_bound(&first, plaintext(), &aad("a")));
        assert_eq!((a.salt, a.commitment), (b.salt, b.commitment));
        assert_ne!(a.sealed.iv, b.sealed.iv);
        // Another process with the same data key uses its own salt, until it has opened a record.
        let second = key(1);
        let own = seal_bound(&second, plaintext(), &aad("a"));
        assert_ne!(own.salt, a.salt);
        assert!(open_bound(&second, a.clone(), &aad("a")).is_ok());
        let after = seal_bound(&second, plaintext(), &aad("a"));
        assert_eq!((after.salt, after.commitment), (a.salt, a.commitment));
        assert!(open_bound(&first, after, &aad("a")).is_ok());
    }

    #[test]
    fn a_salt_that_somebody_else_chose_is_never_sealed_with() {
        let key = key(1);
        let genuine = seal_bound(&key, plaintext(), &aad("a"));
        let mut forged = genuine.clone();
        forged.salt = [0; 16];
        assert!(open_bound(&key, forged.clone(), &aad("a")).is_err());
        forged.commitment = derive(&key, Purpose::Session, &forged.salt).commitment;
        assert!(open_bound(&key, forged, &aad("a")).is_err());
        let next = seal_bound(&key, plaintext(), &aad("a"));
        assert_eq!(next.salt, genuine.salt);
    }

    #[test]
    fn the_aad_has_the_documented_bytes() {
        let hex: String = aad("app:a")
            .bytes()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert_eq!(
            hex,
            concat!(
                "0000001c",
                "636f6e6e6563742d64796e616d6f64622d6b6d732073657373696f6e",
                "00000002",
                "0002",
                "00000002",
                "0001",
                "00000008",
                "000000006b49d200",
                "00000008",
                "73657373696f6e73",
                "00000005",
                "6170703a61",
            )
        );
    }

    /// The record of docs/record-format.md, computed with Python's hmac and OpenSSL's AES-GCM.
    #[test]
    fn the_documented_record_opens() {
        let key = DataKey::new(Zeroizing::new((0..32).collect())).unwrap();
        let salt: Salt = hex("101112131415161718191a1b1c1d1e1f").try_into().unwrap();
        let bound = BoundSeal {
            sealed: Sealed {
                iv: hex("202122232425262728292a2b").try_into().unwrap(),
                ciphertext: hex("53bd0515011352d677434fd048bd"),
                tag: hex("f30a2a6e76e22f5f176ac35428091d28").try_into().unwrap(),
            },
            salt,
            commitment: hex("741d52788a5d9fe61fc569a40545d2bbecf41fa9469e5dc22372d26ae15591c5")
                .try_into()
                .unwrap(),
        };
        let opened = open_bound(&key, bound, &aad("app:a")).unwrap();
        assert_eq!(*opened, br#"{"user":"ada"}"#);
    }
}
