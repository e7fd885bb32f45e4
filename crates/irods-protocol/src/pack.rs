//! Packing instructions: each structure lists its fields once ([`pi!`]) and both wire forms follow from that list.
//!
//! A field's kind is a term of the packing language: `int` (32 bits), `double` (which is a signed 64-bit integer), `str`
//! with a capacity, pointers to text, nested structures and pointers to them, and counted arrays. [`Packer`] and
//! [`Unpacker`] have one method a kind; they know the two forms and nothing of any structure.

use bstr::BString;

use crate::error::{PackError, UnpackError};
use crate::limits::MAX_ARRAY;
use crate::native::{self, NativeReader};
use crate::xml::{self, XmlReader};

/// The two wire forms of a structure (`StartupPack_PI.irodsProt`: 0 native, 1 XML).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Binary, what icommands speak by default.
    Native,
    /// Tagged text, what python-irodsclient, Jargon and go-irodsclient speak.
    Xml,
}

/// How the structures of one connection are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// Wire form.
    pub form: Form,
    /// `&apos;` stands for an apostrophe (peers from 4.2.9 on) rather than for a backtick (older peers, and always in
    /// headers and start-up messages).
    pub apos_is_apostrophe: bool,
    /// `DataObjInfo_PI` ends with an access time (from 5.0 on).
    pub access_time: bool,
}

impl Packing {
    /// Headers, start-up pack, version and negotiation: XML in the old dialect, always.
    pub const STARTUP: Packing = Packing {
        form: Form::Xml,
        apos_is_apostrophe: false,
        access_time: false,
    };
    /// XML as spoken with 5.0 peers.
    pub const XML: Packing = Packing {
        form: Form::Xml,
        apos_is_apostrophe: true,
        access_time: true,
    };
    /// Native as spoken with 5.0 peers.
    pub const NATIVE: Packing = Packing {
        form: Form::Native,
        apos_is_apostrophe: true,
        access_time: true,
    };
}

/// A structure with a packing instruction.
pub trait Pi: Sized {
    /// Name of the packing instruction, e.g. `DataObjInp_PI`.
    const NAME: &'static str;

    /// Appends the fields in order.
    ///
    /// # Errors
    /// A text that is too long for its field or contains NUL.
    fn pack(&self, packer: &mut Packer) -> Result<(), PackError>;

    /// Reads the fields in order.
    ///
    /// # Errors
    /// Anything that is not such a structure.
    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError>;

    /// The whole structure as one message body.
    ///
    /// # Errors
    /// As [`Pi::pack`].
    fn to_bytes(&self, packing: Packing) -> Result<Vec<u8>, PackError> {
        let mut packer = Packer::new(packing);
        self.pack(&mut packer)?;
        Ok(packer.into_bytes())
    }

    /// One message body. What follows the structure is ignored, as real servers do.
    ///
    /// # Errors
    /// As [`Pi::unpack`].
    fn from_bytes(packing: Packing, bytes: &[u8]) -> Result<Self, UnpackError> {
        Self::unpack(&mut Unpacker::new(packing, bytes))
    }
}

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

/// Declares structures: documentation, name, wire name, and a line a field (`field "wireName" (kind)`).
///
/// Kinds: `int`, `intptr`, `double`, `str CAPACITY`, `strptr`, `struct TYPE`, `structptr TYPE`.
macro_rules! pi {
    ($( $(#[$meta:meta])* $name:ident $wire:literal {
        $( $field:ident $fwire:literal ($($kind:tt)+) ),* $(,)?
    } )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $(
                #[doc = concat!("`", $fwire, "`")]
                pub $field: $crate::pack::pi_type!($($kind)+),
            )*
        }

        impl $crate::pack::Pi for $name {
            const NAME: &'static str = $wire;

            fn pack(&self, packer: &mut $crate::pack::Packer) -> Result<(), $crate::error::PackError> {
                #[allow(unused_variables)]
                packer.begin($wire, |p| {
                    $( $crate::pack::pi_pack!(p, self.$field, $fwire, $($kind)+); )*
                    Ok(())
                })
            }

            fn unpack(unpacker: &mut $crate::pack::Unpacker<'_>) -> Result<Self, $crate::error::UnpackError> {
                #[allow(unused_variables)]
                unpacker.begin($wire, |u| {
                    Ok($name { $( $field: $crate::pack::pi_unpack!(u, $fwire, $($kind)+), )* })
                })
            }
        }

        #[cfg(test)]
        impl $crate::sample::Sample for $name {
            fn sample(source: &mut $crate::sample::Source) -> Self {
                $name { $( $field: $crate::sample::pi_sample!(source, $($kind)+), )* }
            }
        }
    )+};
}

macro_rules! pi_type {
    (int) => { i32 };
    (intptr) => { Option<i32> };
    (double) => { i64 };
    (str $cap:expr) => { String };
    (strptr) => { Option<String> };
    (struct $ty:ty) => { $ty };
    (structptr $ty:ty) => { Option<$ty> };
}

macro_rules! pi_pack {
    ($p:ident, $value:expr, $wire:literal, int) => {
        $p.int($wire, $value)
    };
    ($p:ident, $value:expr, $wire:literal, intptr) => {
        $p.int_ptr($wire, $value)
    };
    ($p:ident, $value:expr, $wire:literal, double) => {
        $p.double($wire, $value)
    };
    ($p:ident, $value:expr, $wire:literal, str $cap:expr) => {
        $p.text($wire, $cap, $value.as_bytes())?
    };
    ($p:ident, $value:expr, $wire:literal, strptr) => {
        $p.text_ptr($wire, $value.as_deref())?
    };
    ($p:ident, $value:expr, $wire:literal, struct $ty:ty) => {
        $value.pack($p)?
    };
    ($p:ident, $value:expr, $wire:literal, structptr $ty:ty) => {
        $p.struct_ptr($value.as_ref())?
    };
}

macro_rules! pi_unpack {
    ($u:ident, $wire:literal, int) => {
        $u.int($wire)?
    };
    ($u:ident, $wire:literal, intptr) => {
        $u.int_ptr($wire)?
    };
    ($u:ident, $wire:literal, double) => {
        $u.double($wire)?
    };
    ($u:ident, $wire:literal, str $cap:expr) => {
        $u.text($wire, $cap)?
    };
    ($u:ident, $wire:literal, strptr) => {
        $u.text_ptr($wire)?
    };
    ($u:ident, $wire:literal, struct $ty:ty) => {
        <$ty as $crate::pack::Pi>::unpack($u)?
    };
    ($u:ident, $wire:literal, structptr $ty:ty) => {
        $u.struct_ptr::<$ty>()?
    };
}

pub(crate) use {pi, pi_pack, pi_type, pi_unpack};
