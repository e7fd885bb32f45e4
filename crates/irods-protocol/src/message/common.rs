//! Structures that many messages share.

use bstr::BString;

use crate::error::{PackError, UnpackError};
use crate::limits::ERR_MSG_LEN;
use crate::pack::{Packer, Pi, Unpacker, pi};

/// `KeyValPair_PI`: keywords with values, in the order in which they were added. A keyword counts by its presence; many
/// have an empty value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValPair(pub Vec<(String, String)>);

impl KeyValPair {
    /// No keywords.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a keyword, or replaces its value.
    pub fn set(&mut self, keyword: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(k, _)| k == keyword) {
            Some(pair) => pair.1 = value,
            None => self.0.push((keyword.to_owned(), value)),
        }
    }

    /// The same, for building in one expression.
    #[must_use]
    pub fn with(mut self, keyword: &str, value: impl Into<String>) -> Self {
        self.set(keyword, value);
        self
    }

    /// A keyword's value.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == keyword)
            .map(|(_, v)| v.as_str())
    }

    /// Whether a keyword is there.
    pub fn has(&self, keyword: &str) -> bool {
        self.get(keyword).is_some()
    }
}

impl Pi for KeyValPair {
    const NAME: &'static str = "KeyValPair_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.count("ssLen", self.0.len())?;
            p.text_array(
                "keyWord",
                &self.0.iter().map(|(k, _)| k).collect::<Vec<_>>(),
            )?;
            p.text_array("svalue", &self.0.iter().map(|(_, v)| v).collect::<Vec<_>>())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let n = u.int("ssLen")?;
            let keywords = u.text_array("keyWord", n)?;
            let values = u.text_array("svalue", n)?;
            if keywords.len() != values.len() {
                return Err(UnpackError::Missing { field: "svalue" });
            }
            let pairs = keywords.into_iter().zip(values);
            let pairs = pairs.map(|(k, v)| Ok((utf8("keyWord", k)?, utf8("svalue", v)?)));
            pairs.collect::<Result<_, _>>().map(KeyValPair)
        })
    }
}

/// `InxIvalPair_PI`: (column, flags) pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InxIvalPair(pub Vec<(i32, i32)>);

impl Pi for InxIvalPair {
    const NAME: &'static str = "InxIvalPair_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.count("iiLen", self.0.len())?;
            p.int_array("inx", &self.0.iter().map(|(i, _)| *i).collect::<Vec<_>>());
            p.int_array(
                "ivalue",
                &self.0.iter().map(|(_, v)| *v).collect::<Vec<_>>(),
            );
            Ok(())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let n = u.int("iiLen")?;
            let inx = u.int_array("inx", n)?;
            let values = u.int_array("ivalue", n)?;
            if inx.len() != values.len() {
                return Err(UnpackError::Missing { field: "ivalue" });
            }
            Ok(InxIvalPair(inx.into_iter().zip(values).collect()))
        })
    }
}

/// `InxValPair_PI`: (column, condition) pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InxValPair(pub Vec<(i32, String)>);

impl Pi for InxValPair {
    const NAME: &'static str = "InxValPair_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.count("isLen", self.0.len())?;
            p.int_array("inx", &self.0.iter().map(|(i, _)| *i).collect::<Vec<_>>());
            p.text_array("svalue", &self.0.iter().map(|(_, v)| v).collect::<Vec<_>>())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let n = u.int("isLen")?;
            let inx = u.int_array("inx", n)?;
            let values = u.text_array("svalue", n)?;
            if inx.len() != values.len() {
                return Err(UnpackError::Missing { field: "svalue" });
            }
            let pairs = inx
                .into_iter()
                .zip(values)
                .map(|(i, v)| Ok((i, utf8("svalue", v)?)));
            pairs.collect::<Result<_, _>>().map(InxValPair)
        })
    }
}

fn utf8(field: &'static str, value: BString) -> Result<String, UnpackError> {
    String::from_utf8(value.into()).map_err(|_| UnpackError::NotUtf8 { field })
}

/// `BinBytesBuf_PI`: bytes, base64 in XML. Carries JSON in the plug-in APIs from 4.2.9 on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BinBytesBuf(pub Vec<u8>);

impl Pi for BinBytesBuf {
    const NAME: &'static str = "BinBytesBuf_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.count("buflen", self.0.len())?;
            p.binary("buf", &self.0);
            Ok(())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let n = u.int("buflen")?;
            u.binary("buf", n).map(BinBytesBuf)
        })
    }
}

/// `BytesBuf_PI`: bytes, raw in both forms. Carries JSON in reports, and in the plug-in APIs before 4.2.9.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BytesBuf(pub Vec<u8>);

impl Pi for BytesBuf {
    const NAME: &'static str = "BytesBuf_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.count("buflen", self.0.len())?;
            p.chars("buf", &self.0);
            Ok(())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let n = u.int("buflen")?;
            u.chars("buf", n).map(BytesBuf)
        })
    }
}

/// `RError_PI`: the server's error stack. Entries may have status 0, and a successful reply may carry some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RError(pub Vec<RErrMsg>);

impl Pi for RError {
    const NAME: &'static str = "RError_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.count("count", self.0.len())?;
            p.struct_array(&self.0)
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            let n = u.int("count")?;
            u.struct_array(n).map(RError)
        })
    }
}

pi! {
    /// One entry of an error stack.
    RErrMsg "RErrMsg_PI" {
        status "status" (int),
        msg "msg" (str ERR_MSG_LEN),
    }

    /// A text.
    StrPi "STR_PI" {
        my_str "myStr" (strptr),
    }

    /// An integer.
    IntPi "INT_PI" {
        my_int "myInt" (int),
    }
}
