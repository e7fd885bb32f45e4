//! The tagged form. It looks like XML and is not: no attributes, comments, empty-element tags or numeric entities, and
//! values carry any byte but NUL raw. So this is a cursor that follows the server's own reader (4.2 to 5.0): elements
//! come in the order of the packing instruction, absent ones are skipped, unknown trailing ones are passed over.
//!
//! Line ends stand after a structure's start tag and after every end tag, as C++ peers write them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bstr::ByteSlice as _;

use crate::error::UnpackError;

/// Appends `<name>`, and a line end if it opens a structure.
pub fn open(out: &mut Vec<u8>, name: &str, structure: bool) {
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    if structure {
        out.push(b'\n');
    }
}

/// Appends `</name>` and a line end.
pub fn close(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b">\n");
}

/// Appends a decimal number.
pub fn number(out: &mut Vec<u8>, name: &str, value: i64) {
    chars(out, name, value.to_string().as_bytes());
}

/// Appends an escaped text; see [`unescape`] for `apos_is_apostrophe`.
pub fn text(out: &mut Vec<u8>, name: &str, value: &[u8], apos_is_apostrophe: bool) {
    open(out, name, false);
    let quote = if apos_is_apostrophe { b'\'' } else { b'`' };
    for &byte in value {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b if b == quote => out.extend_from_slice(b"&apos;"),
            b => out.push(b),
        }
    }
    close(out, name);
}

/// Appends raw characters.
pub fn chars(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    open(out, name, false);
    out.extend_from_slice(value);
    close(out, name);
}

/// Appends base64, in one line.
pub fn binary(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    chars(out, name, STANDARD.encode(value).as_bytes());
}

/// Resolves the five entities. Peers before 4.2.9 mean a backtick by `&apos;`. From the first unknown entity on, the
/// rest is taken as it stands (server source).
pub fn unescape(raw: &[u8], apos_is_apostrophe: bool) -> Vec<u8> {
    let entities: [(&[u8], u8); 5] = [
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&quot;", b'"'),
        (b"&apos;", if apos_is_apostrophe { b'\'' } else { b'`' }),
    ];
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find_byte(b'&') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        match entities
            .iter()
            .find_map(|(entity, byte)| rest.strip_prefix(*entity).map(|r| (r, *byte)))
        {
            Some((after, byte)) => {
                out.push(byte);
                rest = after;
            }
            None => break,
        }
    }
    out.extend_from_slice(rest);
    out
}

/// A cursor over a message in tagged form.
#[derive(Debug)]
pub struct XmlReader<'a> {
    rest: &'a [u8],
}

impl<'a> XmlReader<'a> {
    /// Starts at the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        XmlReader { rest: bytes }
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether the next tag is `<name>`.
    pub fn at(&self, name: &str) -> bool {
        self.after_open(name).is_some()
    }

    /// Consumes `<name>` if it is the next tag.
    pub fn open(&mut self, name: &str) -> bool {
        match self.after_open(name) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Consumes up to and including `</name>`, whatever stands before it.
    ///
    /// # Errors
    /// There is none.
    pub fn close(&mut self, name: &'static str) -> Result<(), UnpackError> {
        self.until_close(name).map(|_| ())
    }

    /// The raw content of `<name>` if it is the next element.
    ///
    /// # Errors
    /// The element is not closed.
    pub fn element(&mut self, name: &'static str) -> Result<Option<&'a [u8]>, UnpackError> {
        if self.open(name) {
            self.until_close(name).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A decimal number if `<name>` is the next element; an empty element is 0.
    ///
    /// # Errors
    /// The content is no number.
    pub fn number(&mut self, name: &'static str) -> Result<Option<i64>, UnpackError> {
        let Some(raw) = self.element(name)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(raw)
            .map_err(|_| UnpackError::NotANumber { field: name })?
            .trim();
        if text.is_empty() {
            return Ok(Some(0));
        }
        text.parse()
            .map(Some)
            .map_err(|_| UnpackError::NotANumber { field: name })
    }

    /// Base64 content of `<name>`; nothing if it is absent.
    ///
    /// # Errors
    /// The content is no base64.
    pub fn binary(&mut self, name: &'static str) -> Result<Vec<u8>, UnpackError> {
        let raw = self.element(name)?.unwrap_or_default();
        let compact: Vec<u8> = raw
            .iter()
            .copied()
            .filter(|b| !b.is_ascii_whitespace())
            .collect();
        STANDARD
            .decode(compact)
            .map_err(|_| UnpackError::NotBase64 { field: name })
    }

    /// Exactly `len` raw characters of `<name>` if its end tag follows them; else up to the first end tag.
    ///
    /// # Errors
    /// The element is not closed.
    pub fn chars(
        &mut self,
        name: &'static str,
        len: usize,
    ) -> Result<Option<&'a [u8]>, UnpackError> {
        if !self.open(name) {
            return Ok(None);
        }
        if let Some((head, tail)) = self.rest.split_at_checked(len)
            && let Some(rest) = strip_tag(tail, b"</", name)
        {
            self.rest = rest;
            return Ok(Some(head));
        }
        self.until_close(name).map(Some)
    }

    fn after_open(&self, name: &str) -> Option<&'a [u8]> {
        let at = self.rest.find_byte(b'<')?;
        strip_tag(&self.rest[at..], b"<", name)
    }

    fn until_close(&mut self, name: &'static str) -> Result<&'a [u8], UnpackError> {
        let mut from = 0;
        while let Some(at) = self.rest[from..].find_byte(b'<') {
            let at = from + at;
            if let Some(rest) = strip_tag(&self.rest[at..], b"</", name) {
                let content = &self.rest[..at];
                self.rest = rest;
                return Ok(content);
            }
            from = at + 1;
        }
        Err(UnpackError::Missing { field: name })
    }
}

fn strip_tag<'a>(bytes: &'a [u8], opening: &[u8], name: &str) -> Option<&'a [u8]> {
    bytes
        .strip_prefix(opening)?
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b">")
}
