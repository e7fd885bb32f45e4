//! Writes fields, one method a kind of the packing language, in either form.

use super::{Form, Packing, Pi};
use crate::error::PackError;
use crate::{native, xml};

/// Writes fields in one of the two forms.
#[derive(Debug)]
pub struct Packer {
    packing: Packing,
    out: Vec<u8>,
}

impl Packer {
    /// An empty packer.
    pub fn new(packing: Packing) -> Self {
        Packer {
            packing,
            out: Vec::with_capacity(512),
        }
    }

    /// What was packed.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// How this packer packs.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Wraps the fields that `fields` writes into a structure of that name.
    ///
    /// # Errors
    /// Those of `fields`.
    pub fn begin(
        &mut self,
        name: &'static str,
        fields: impl FnOnce(&mut Self) -> Result<(), PackError>,
    ) -> Result<(), PackError> {
        match self.packing.form {
            Form::Native => fields(self),
            Form::Xml => {
                xml::open(&mut self.out, name, true);
                fields(self)?;
                xml::close(&mut self.out, name);
                Ok(())
            }
        }
    }

    /// `int name`.
    pub fn int(&mut self, name: &'static str, value: i32) {
        match self.packing.form {
            Form::Native => self.out.extend_from_slice(&value.to_be_bytes()),
            Form::Xml => xml::number(&mut self.out, name, value.into()),
        }
    }

    /// `double name`: 64 bits, an integer.
    pub fn double(&mut self, name: &'static str, value: i64) {
        match self.packing.form {
            Form::Native => self.out.extend_from_slice(&value.to_be_bytes()),
            Form::Xml => xml::number(&mut self.out, name, value),
        }
    }

    /// `str name[capacity]`, or one element of an array of texts.
    ///
    /// # Errors
    /// Too long, or NUL inside.
    pub fn text(
        &mut self,
        name: &'static str,
        capacity: usize,
        value: &[u8],
    ) -> Result<(), PackError> {
        if value.len() >= capacity {
            return Err(PackError::TooLong {
                field: name,
                max: capacity - 1,
                len: value.len(),
            });
        }
        if value.contains(&0) {
            return Err(PackError::Nul { field: name });
        }
        match self.packing.form {
            Form::Native => {
                self.out.extend_from_slice(value);
                self.out.push(0);
            }
            Form::Xml => xml::text(&mut self.out, name, value, self.packing.apos_is_apostrophe),
        }
        Ok(())
    }

    /// `str *name`: text of any length, or none.
    ///
    /// # Errors
    /// NUL inside.
    pub fn text_ptr(&mut self, name: &'static str, value: Option<&str>) -> Result<(), PackError> {
        match value {
            Some(text) => {
                self.check_not_null(name, text.as_bytes())?;
                self.text(name, usize::MAX, text.as_bytes())
            }
            None => {
                self.null();
                Ok(())
            }
        }
    }

    /// `int *name`: a number, or none.
    pub fn int_ptr(&mut self, name: &'static str, value: Option<i32>) {
        match value {
            Some(value) => self.int(name, value),
            None => self.null(),
        }
    }

    /// `str *name[n]` or `str *name(n)(capacity)`: the count is a field of its own.
    ///
    /// # Errors
    /// NUL inside.
    pub fn text_array<T: AsRef<[u8]>>(
        &mut self,
        name: &'static str,
        values: &[T],
    ) -> Result<(), PackError> {
        match values.first() {
            Some(first) => self.check_not_null(name, first.as_ref())?,
            None => self.null(),
        }
        values
            .iter()
            .try_for_each(|v| self.text(name, usize::MAX, v.as_ref()))
    }

    /// `int *name(n)`.
    pub fn int_array(&mut self, name: &'static str, values: &[i32]) {
        if values.is_empty() {
            self.null();
        }
        values.iter().for_each(|&v| self.int(name, v));
    }

    /// `bin *name(n)`: base64 in XML.
    pub fn binary(&mut self, name: &'static str, value: &[u8]) {
        match self.packing.form {
            Form::Native if value.is_empty() => self.null(),
            Form::Native => self.out.extend_from_slice(value),
            Form::Xml => xml::binary(&mut self.out, name, value),
        }
    }

    /// `bin *name(n)` where the structure says `n`.
    ///
    /// # Errors
    /// Another number of bytes.
    pub fn fixed_binary(
        &mut self,
        name: &'static str,
        expected: usize,
        value: &[u8],
    ) -> Result<(), PackError> {
        if value.len() != expected {
            return Err(PackError::Count {
                field: name,
                expected,
                len: value.len(),
            });
        }
        self.binary(name, value);
        Ok(())
    }

    /// `char *name(n)`: raw in both forms, no escaping.
    pub fn chars(&mut self, name: &'static str, value: &[u8]) {
        match self.packing.form {
            Form::Native if value.is_empty() => self.null(),
            Form::Native => self.out.extend_from_slice(value),
            Form::Xml => xml::chars(&mut self.out, name, value),
        }
    }

    /// `struct *T`.
    ///
    /// # Errors
    /// Those of the structure.
    pub fn struct_ptr<T: Pi>(&mut self, value: Option<&T>) -> Result<(), PackError> {
        match value {
            Some(value) => value.pack(self),
            None => {
                self.null();
                Ok(())
            }
        }
    }

    /// `struct *T[n]`.
    ///
    /// # Errors
    /// Those of the structures.
    pub fn struct_array<T: Pi>(&mut self, values: &[T]) -> Result<(), PackError> {
        if values.is_empty() {
            self.null();
        }
        values.iter().try_for_each(|v| v.pack(self))
    }

    /// The number of elements as its own field.
    ///
    /// # Errors
    /// More than 32 bits can say.
    pub fn count(&mut self, name: &'static str, n: usize) -> Result<(), PackError> {
        self.int(
            name,
            i32::try_from(n).map_err(|_| PackError::TooMany { field: name })?,
        );
        Ok(())
    }

    /// A null pointer: absent in XML, a marker in native form.
    pub fn null(&mut self) {
        if self.packing.form == Form::Native {
            self.out.extend_from_slice(native::NULL_MARKER);
        }
    }

    /// Where a pointer may stand, the marker's own text would be read as a null pointer.
    fn check_not_null(&self, field: &'static str, text: &[u8]) -> Result<(), PackError> {
        let marker = native::NULL_MARKER.strip_suffix(b"\0");
        if self.packing.form == Form::Native && marker == Some(text) {
            return Err(PackError::NullMarker { field });
        }
        Ok(())
    }
}
