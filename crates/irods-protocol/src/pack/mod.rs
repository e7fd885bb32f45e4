//! Packing instructions: each structure lists its fields once (`pi!`) and both wire forms follow from that list.
//!
//! A field's kind is a term of the packing language: `int` (32 bits), `double` (which is a signed 64-bit integer), `str`
//! with a capacity, pointers to text, nested structures and pointers to them, and counted arrays. [`Packer`] and
//! [`Unpacker`] have one method a kind; they know the two forms and nothing of any structure.

mod instruction;
mod packer;
mod unpacker;

use crate::error::{PackError, UnpackError};

pub(crate) use instruction::{pi, pi_pack, pi_type, pi_unpack};
pub use packer::Packer;
pub use unpacker::Unpacker;

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
