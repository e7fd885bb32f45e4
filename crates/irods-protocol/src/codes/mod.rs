//! Error codes: their names, and the errno that drivers fold into them.
//!
//! A code is a negative multiple of 1000, minus an errno of the server's operating system where a
//! storage driver failed: -516002 is `UNIX_FILE_STAT_ERR` (-516000) with ENOENT (2). Results that
//! are not negative are never errors. What a code means for a caller is not decided here.

mod table;

use std::fmt;

pub use table::*;

/// Largest remainder that is taken for an errno. Above it a code is not folded: seen on a 5.0.90
/// server, a failing rule answers -99999, which is no `-99000` with errno 999.
const MAX_ERRNO: i32 = 133;

/// A code taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// The code proper.
    pub base: i32,
    /// The folded errno, 0 if there is none.
    pub errno: i32,
}

/// Takes a code apart into the code proper and the errno folded into it. Codes of the table, codes
/// whose remainder is no errno, and results that are not negative come back whole.
#[must_use]
pub fn split(code: i32) -> Split {
    let errno = -(code % 1000);
    if code >= -1000 || exact_name(code).is_some() || !(1..=MAX_ERRNO).contains(&errno) {
        return Split {
            base: code,
            errno: 0,
        };
    }
    Split {
        base: code + errno,
        errno,
    }
}

/// The name of a code, with or without a folded errno.
#[must_use]
pub fn name_of(code: i32) -> Option<&'static str> {
    exact_name(split(code).base)
}

/// The number of a name, spelled exactly.
#[must_use]
pub fn number_of(name: &str) -> Option<i32> {
    CODES
        .iter()
        .find(|(_, known)| *known == name)
        .map(|&(number, _)| number)
}

/// The symbol of an errno that a Linux server's storage can run into.
#[must_use]
pub fn errno_name(errno: i32) -> Option<&'static str> {
    let name = match errno {
        1 => "EPERM",
        2 => "ENOENT",
        4 => "EINTR",
        5 => "EIO",
        6 => "ENXIO",
        9 => "EBADF",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        16 => "EBUSY",
        17 => "EEXIST",
        18 => "EXDEV",
        19 => "ENODEV",
        20 => "ENOTDIR",
        21 => "EISDIR",
        22 => "EINVAL",
        23 => "ENFILE",
        24 => "EMFILE",
        26 => "ETXTBSY",
        27 => "EFBIG",
        28 => "ENOSPC",
        29 => "ESPIPE",
        30 => "EROFS",
        31 => "EMLINK",
        32 => "EPIPE",
        36 => "ENAMETOOLONG",
        39 => "ENOTEMPTY",
        40 => "ELOOP",
        95 => "EOPNOTSUPP",
        104 => "ECONNRESET",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        113 => "EHOSTUNREACH",
        116 => "ESTALE",
        122 => "EDQUOT",
        _ => return None,
    };
    Some(name)
}

/// A result code as people want to read it: `CAT_UNKNOWN_COLLECTION (-814000)`,
/// `UNIX_FILE_OPEN_ERR (-510002, ENOENT)`, or the bare number where it has no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Code(code) = *self;
        let Split { base, errno } = split(code);
        match (exact_name(base), errno_name(errno)) {
            (None, _) => write!(out, "iRODS code {code}"),
            (Some(name), _) if errno == 0 => write!(out, "{name} ({code})"),
            (Some(name), Some(symbol)) => write!(out, "{name} ({code}, {symbol})"),
            (Some(name), None) => write!(out, "{name} ({code}, errno {errno})"),
        }
    }
}

/// The name of a code of the table; the table runs downwards.
fn exact_name(code: i32) -> Option<&'static str> {
    let at = CODES
        .binary_search_by(|&(number, _)| code.cmp(&number))
        .ok()?;
    CODES.get(at).map(|&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_runs_downwards_without_duplicates() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 > pair[1].0));
        let mut names: Vec<_> = CODES.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        for &(number, name) in CODES {
            assert_eq!(name_of(number), Some(name));
            assert_eq!(number_of(name), Some(number));
        }
    }

    #[test]
    fn takes_the_errno_out() {
        assert_eq!(
            split(-516_002),
            Split {
                base: UNIX_FILE_STAT_ERR,
                errno: 2
            }
        );
        assert_eq!(
            split(-808_000),
            Split {
                base: CAT_NO_ROWS_FOUND,
                errno: 0
            }
        );
        assert_eq!(
            split(-99_999),
            Split {
                base: -99_999,
                errno: 0
            }
        );
        assert_eq!(
            split(SYS_HANDLER_DONE_NO_ERROR).base,
            SYS_HANDLER_DONE_NO_ERROR
        );
        for whole in [0, 3, 99_999_996, -1, -999, -1000, i32::MIN, i32::MAX] {
            assert_eq!(
                split(whole),
                Split {
                    base: whole,
                    errno: 0
                }
            );
        }
    }

    #[test]
    fn prints_for_people() {
        let text = |code| Code(code).to_string();
        assert_eq!(
            text(-809_000),
            "CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME (-809000)"
        );
        assert_eq!(text(-510_002), "UNIX_FILE_OPEN_ERR (-510002, ENOENT)");
        assert_eq!(text(-510_099), "UNIX_FILE_OPEN_ERR (-510099, errno 99)");
        assert_eq!(text(-99_999), "iRODS code -99999");
        assert_eq!(text(i32::MIN), "iRODS code -2147483648");
    }
}
