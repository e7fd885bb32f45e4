//! The binary form: fields back to back, no tags, no alignment; integers big-endian, texts end with NUL.

use bstr::ByteSlice as _;

use crate::error::UnpackError;

/// Stands for a null pointer of any type.
pub const NULL_MARKER: &[u8] = b"%@#ANULLSTR$%\0";

/// A cursor over a message in native form.
#[derive(Debug)]
pub struct NativeReader<'a> {
    rest: &'a [u8],
}

impl<'a> NativeReader<'a> {
    /// Starts at the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        NativeReader { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Consumes a null marker, if one is here.
    pub fn null(&mut self) -> bool {
        match self.rest.strip_prefix(NULL_MARKER) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], UnpackError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(UnpackError::Truncated { field })?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn take(&mut self, field: &'static str, n: usize) -> Result<&'a [u8], UnpackError> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(UnpackError::Truncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    /// `n` bytes behind a pointer, or none where the pointer is null.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn counted(&mut self, field: &'static str, n: usize) -> Result<&'a [u8], UnpackError> {
        if self.null() {
            Ok(&[])
        } else {
            self.take(field, n)
        }
    }

    /// The bytes before the next NUL, which is consumed.
    ///
    /// # Errors
    /// No NUL is left.
    pub fn c_string(&mut self, field: &'static str) -> Result<&'a [u8], UnpackError> {
        let end = self
            .rest
            .find_byte(0)
            .ok_or(UnpackError::Truncated { field })?;
        let (head, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Ok(head)
    }
}
