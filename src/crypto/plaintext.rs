//! Sessions in the clear.

use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

use crate::error::{Error, Result};

/// A buffer that can be emptied without freeing its memory.
pub trait Buffer: Zeroize + Default {
    /// Sets the length to 0.
    fn clear(&mut self);
}

impl Buffer for Vec<u8> {
    fn clear(&mut self) {
        self.clear();
    }
}

impl Buffer for String {
    fn clear(&mut self) {
        self.clear();
    }
}

/// A session's JSON, or the payload around it, in the clear. Neither `Clone` nor `Debug`. It is
/// overwritten when it is dropped.
///
/// `Zeroizing` does the same, but overwrites the bytes of a vector one by one, which takes as long
/// as the cipher.
#[derive(Default)]
pub struct Plaintext<T: Buffer = Vec<u8>>(T);

impl<T: Buffer> Plaintext<T> {
    /// Takes over the buffer itself, so that no second copy remains.
    pub fn new(buffer: T) -> Plaintext<T> {
        Plaintext(buffer)
    }

    /// Gives the buffer away. The new owner overwrites it.
    #[must_use]
    pub fn take(mut self) -> T {
        std::mem::take(&mut self.0)
    }
}

impl<T: Buffer> Deref for Plaintext<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Buffer> DerefMut for Plaintext<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Buffer> Drop for Plaintext<T> {
    fn drop(&mut self) {
        // An empty buffer is all spare capacity, which zeroize overwrites in one go.
        self.0.clear();
        self.0.zeroize();
    }
}

/// The plaintext as text, without a second copy of it.
///
/// # Errors
/// `ERR_SERIALIZATION` if it is not valid UTF-8.
pub fn text(plaintext: Plaintext) -> Result<Plaintext<String>> {
    String::from_utf8(plaintext.take())
        .map(Plaintext::new)
        .map_err(|error| {
            drop(Plaintext::new(error.into_bytes()));
            Error::Serialization(
                "what was sealed is not text in UTF-8; another program wrote it".into(),
            )
        })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// Remembers the calls of its methods.
    #[derive(Default)]
    struct Spied(Rc<RefCell<Vec<&'static str>>>);

    impl Zeroize for Spied {
        fn zeroize(&mut self) {
            self.0.borrow_mut().push("zeroize");
        }
    }

    impl Buffer for Spied {
        fn clear(&mut self) {
            self.0.borrow_mut().push("clear");
        }
    }

    #[test]
    fn a_plaintext_is_emptied_and_overwritten_when_it_is_dropped() {
        let done = Rc::default();
        drop(Plaintext::new(Spied(Rc::clone(&done))));
        assert_eq!(*done.borrow(), ["clear", "zeroize"]);
    }

    #[test]
    #[allow(unsafe_code)]
    fn overwriting_an_emptied_buffer_reaches_what_was_in_it() {
        let mut buffer = b"secret".to_vec();
        buffer.reserve_exact(10);
        Buffer::clear(&mut buffer);
        buffer.zeroize();
        // SAFETY: six bytes were initialised above, and the buffer has not moved.
        unsafe { buffer.set_len(6) };
        assert_eq!(buffer, [0; 6]);
    }

    #[test]
    fn what_is_taken_is_the_same_buffer() {
        let buffer = "text".to_owned();
        let place = buffer.as_ptr();
        let taken = Plaintext::new(buffer).take();
        assert_eq!(taken.as_ptr(), place);
    }
}
