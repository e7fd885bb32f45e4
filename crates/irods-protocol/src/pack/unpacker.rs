//! Reads fields, one method a kind of the packing language, in either form. Nothing is allocated for a count before the
//! message was seen to be long enough for it.

use bstr::BString;

use super::{Form, Packing, Pi};
use crate::error::UnpackError;
use crate::limits::MAX_ARRAY;
use crate::native::NativeReader;
use crate::xml::{self, XmlReader};

enum Reader<'a> {
    Native(NativeReader<'a>),
    Xml(XmlReader<'a>),
}

/// Reads fields in one of the two forms.
pub struct Unpacker<'a> {
    packing: Packing,
    reader: Reader<'a>,
}

impl<'a> Unpacker<'a> {
    /// Starts at the front of a message body.
    pub fn new(packing: Packing, bytes: &'a [u8]) -> Self {
        let reader = match packing.form {
            Form::Native => Reader::Native(NativeReader::new(bytes)),
            Form::Xml => Reader::Xml(XmlReader::new(bytes)),
        };
        Unpacker { packing, reader }
    }

    /// How the message is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Reads a structure of that name, whose fields `fields` reads.
    ///
    /// # Errors
    /// No such structure here, or those of `fields`.
    pub fn begin<T>(
        &mut self,
        name: &'static str,
        fields: impl FnOnce(&mut Self) -> Result<T, UnpackError>,
    ) -> Result<T, UnpackError> {
        if let Reader::Xml(xml) = &mut self.reader
            && !xml.open(name)
        {
            return Err(UnpackError::Missing { field: name });
        }
        let value = fields(self)?;
        if let Reader::Xml(xml) = &mut self.reader {
            xml.close(name)?;
        }
        Ok(value)
    }

    /// `int name`. An element that is absent from XML is 0: python-irodsclient leaves fields out and servers accept it.
    ///
    /// # Errors
    /// Truncated, or no number.
    pub fn int(&mut self, name: &'static str) -> Result<i32, UnpackError> {
        match &mut self.reader {
            Reader::Native(native) => Ok(i32::from_be_bytes(native.array(name)?)),
            Reader::Xml(xml) => {
                let wide = xml.number(name)?.unwrap_or(0);
                i32::try_from(wide).map_err(|_| UnpackError::NotANumber { field: name })
            }
        }
    }

    /// `double name`.
    ///
    /// # Errors
    /// Truncated, or no number.
    pub fn double(&mut self, name: &'static str) -> Result<i64, UnpackError> {
        match &mut self.reader {
            Reader::Native(native) => Ok(i64::from_be_bytes(native.array(name)?)),
            Reader::Xml(xml) => Ok(xml.number(name)?.unwrap_or(0)),
        }
    }

    /// `str name[capacity]`.
    ///
    /// # Errors
    /// Absent, too long, or not UTF-8.
    pub fn text(&mut self, name: &'static str, capacity: usize) -> Result<String, UnpackError> {
        let bytes = self
            .raw_text(name)?
            .ok_or(UnpackError::Missing { field: name })?;
        if bytes.len() >= capacity {
            return Err(UnpackError::TooLong {
                field: name,
                max: capacity - 1,
            });
        }
        String::from_utf8(bytes).map_err(|_| UnpackError::NotUtf8 { field: name })
    }

    /// `str name[capacity]` at the end of a structure that got it in a later release: in XML, peers that do not know it
    /// leave it out. Real servers refuse such a message (server source 5.0); here the field is empty.
    ///
    /// # Errors
    /// Too long, or not UTF-8.
    pub fn trailing_text(
        &mut self,
        name: &'static str,
        capacity: usize,
    ) -> Result<String, UnpackError> {
        match &self.reader {
            Reader::Xml(xml) if !xml.at(name) => Ok(String::new()),
            _ => self.text(name, capacity),
        }
    }

    /// `str *name`.
    ///
    /// # Errors
    /// Truncated, or not UTF-8.
    pub fn text_ptr(&mut self, name: &'static str) -> Result<Option<String>, UnpackError> {
        if self.null() {
            return Ok(None);
        }
        let Some(bytes) = self.raw_text(name)? else {
            return Ok(None);
        };
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| UnpackError::NotUtf8 { field: name })
    }

    /// `int *name`.
    ///
    /// # Errors
    /// Truncated, or no number.
    pub fn int_ptr(&mut self, name: &'static str) -> Result<Option<i32>, UnpackError> {
        let absent = match &mut self.reader {
            Reader::Native(native) => native.null(),
            Reader::Xml(xml) => !xml.at(name),
        };
        if absent {
            Ok(None)
        } else {
            self.int(name).map(Some)
        }
    }

    /// `str *name[n]`: `n` texts, or none at all if the array is null.
    ///
    /// # Errors
    /// Fewer texts than `n`, or an `n` that the message cannot hold.
    pub fn text_array(&mut self, name: &'static str, n: i32) -> Result<Vec<BString>, UnpackError> {
        self.array(name, n, 1, |u| {
            let bytes = u
                .raw_text(name)?
                .ok_or(UnpackError::Missing { field: name })?;
            Ok(BString::from(bytes))
        })
    }

    /// `int *name(n)`.
    ///
    /// # Errors
    /// Fewer than `n`, or an `n` that the message cannot hold.
    pub fn int_array(&mut self, name: &'static str, n: i32) -> Result<Vec<i32>, UnpackError> {
        self.array(name, n, 4, |u| u.int(name))
    }

    /// `struct *T[n]`.
    ///
    /// # Errors
    /// Fewer than `n`, or an `n` that the message cannot hold.
    pub fn struct_array<T: Pi>(&mut self, n: i32) -> Result<Vec<T>, UnpackError> {
        self.array(T::NAME, n, 1, T::unpack)
    }

    /// `struct *T`.
    ///
    /// # Errors
    /// Those of the structure.
    pub fn struct_ptr<T: Pi>(&mut self) -> Result<Option<T>, UnpackError> {
        let absent = match &mut self.reader {
            Reader::Native(native) => native.null(),
            Reader::Xml(xml) => !xml.at(T::NAME),
        };
        if absent {
            Ok(None)
        } else {
            T::unpack(self).map(Some)
        }
    }

    /// `bin *name(n)`.
    ///
    /// # Errors
    /// Truncated, or no base64.
    pub fn binary(&mut self, name: &'static str, n: i32) -> Result<Vec<u8>, UnpackError> {
        let len = count(name, n)?;
        match &mut self.reader {
            Reader::Native(native) => native.counted(name, len).map(<[u8]>::to_vec),
            Reader::Xml(xml) => xml.binary(name),
        }
    }

    /// `bin *name(n)` where the structure says `n`.
    ///
    /// # Errors
    /// Truncated, no base64, or another number of bytes.
    pub fn fixed_binary(
        &mut self,
        name: &'static str,
        expected: usize,
    ) -> Result<Vec<u8>, UnpackError> {
        let count = i32::try_from(expected).map_err(|_| UnpackError::Truncated { field: name })?;
        let value = self.binary(name, count)?;
        if value.len() == expected {
            Ok(value)
        } else {
            Err(UnpackError::Truncated { field: name })
        }
    }

    /// `char *name(n)`.
    ///
    /// # Errors
    /// Truncated.
    pub fn chars(&mut self, name: &'static str, n: i32) -> Result<Vec<u8>, UnpackError> {
        let len = count(name, n)?;
        match &mut self.reader {
            Reader::Native(native) => native.counted(name, len).map(<[u8]>::to_vec),
            Reader::Xml(xml) => Ok(xml.chars(name, len)?.unwrap_or_default().to_vec()),
        }
    }

    fn array<T>(
        &mut self,
        name: &'static str,
        n: i32,
        least_bytes: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, UnpackError>,
    ) -> Result<Vec<T>, UnpackError> {
        let len = count(name, n)?;
        let null = match &mut self.reader {
            Reader::Native(native) => native.null(),
            Reader::Xml(xml) => !xml.at(name),
        };
        if null || len == 0 {
            // Real servers read an array whose first element is missing as a null array.
            return Ok(Vec::new());
        }
        let left = match &self.reader {
            Reader::Native(native) => native.left(),
            Reader::Xml(xml) => xml.left(),
        };
        if len > MAX_ARRAY || len.saturating_mul(least_bytes) > left {
            return Err(UnpackError::BadCount {
                field: name,
                count: n.into(),
            });
        }
        (0..len).map(|_| element(self)).collect()
    }

    fn raw_text(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, UnpackError> {
        match &mut self.reader {
            Reader::Native(native) => Ok(Some(native.c_string(name)?.to_vec())),
            Reader::Xml(xml) => {
                let raw = xml.element(name)?;
                Ok(raw.map(|raw| xml::unescape(raw, self.packing.apos_is_apostrophe)))
            }
        }
    }

    fn null(&mut self) -> bool {
        match &mut self.reader {
            Reader::Native(native) => native.null(),
            Reader::Xml(_) => false,
        }
    }
}

fn count(field: &'static str, n: i32) -> Result<usize, UnpackError> {
    usize::try_from(n).map_err(|_| UnpackError::BadCount {
        field,
        count: n.into(),
    })
}
