//! Logical paths: the absolute, `/`-separated names of collections and data objects.
//!
//! Pure text: nothing is looked up and no case is folded. `check` accepts exactly what every other
//! function here is defined for; on anything else they still return, but mean nothing. Limits are
//! those of the packed structures (server source 4.2.8 to 5.0.2), in bytes.

/// Longest logical path in bytes.
pub const MAX_PATH: usize = 1023;

/// Why a text is no logical path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with `/`.
    #[error("a logical path starts with /")]
    NotAbsolute,
    /// It is `/` with nothing behind, where a collection or object is needed.
    #[error("the path names no zone")]
    Root,
    /// It has two slashes in a row, or ends with one.
    #[error("a logical path has no empty element")]
    EmptyElement,
    /// It has an element `.` or `..`.
    #[error("a logical path has no element . or ..")]
    DotElement,
    /// It has a NUL character.
    #[error("a logical path has no NUL character")]
    Nul,
    /// It is longer than [`MAX_PATH`].
    #[error("the path has {0} bytes, the limit is 1023")]
    TooLong(usize),
}

/// Whether a text is the logical path of a collection or data object: absolute, at least a zone,
/// no element that is empty, `.` or `..`, no NUL, at most [`MAX_PATH`] bytes.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(path: &str) -> Result<(), PathError> {
    let relative = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
    if relative.is_empty() {
        return Err(PathError::Root);
    }
    if path.len() > MAX_PATH {
        return Err(PathError::TooLong(path.len()));
    }
    relative.split('/').try_for_each(check_element)
}

/// Whether a text can be the last element of a logical path.
///
/// # Errors
/// The rule that it breaks; a `/` inside counts as an empty element.
pub fn check_name(name: &str) -> Result<(), PathError> {
    if name.contains('/') {
        return Err(PathError::EmptyElement);
    }
    if name.len() >= MAX_PATH {
        return Err(PathError::TooLong(name.len().saturating_add(1)));
    }
    check_element(name)
}

fn check_element(element: &str) -> Result<(), PathError> {
    match element {
        "" => Err(PathError::EmptyElement),
        "." | ".." => Err(PathError::DotElement),
        _ if element.contains('\0') => Err(PathError::Nul),
        _ => Ok(()),
    }
}

/// Collection that a path is in: `/z/home` of `/z/home/a`, `/` of `/z`, nothing of `/`.
#[must_use]
pub fn parent(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 if path.len() == 1 => None,
        0 => Some("/"),
        at => path.get(..at),
    }
}

/// Last element of a path, nothing of `/`.
#[must_use]
pub fn name(path: &str) -> Option<&str> {
    let (_, name) = path.rsplit_once('/')?;
    (!name.is_empty()).then_some(name)
}

/// Collection and last element in one, as a query on both columns needs them.
#[must_use]
pub fn split(path: &str) -> Option<(&str, &str)> {
    Some((parent(path)?, name(path)?))
}

/// A path one level below a collection. Slashes where the two meet are made one.
#[must_use]
pub fn join(collection: &str, name: &str) -> String {
    format!(
        "{}/{}",
        collection.trim_end_matches('/'),
        name.trim_start_matches('/')
    )
}

/// Zone of a path: its first element.
#[must_use]
pub fn zone(path: &str) -> Option<&str> {
    let first = path.strip_prefix('/')?.split('/').next()?;
    (!first.is_empty()).then_some(first)
}

/// What is left of a path below a collection: `b/c` of `/z/a/b/c` under `/z/a`; `""` of the
/// collection itself; nothing of what is elsewhere, such as `/z/ab` under `/z/a`.
#[must_use]
pub fn below<'a>(path: &'a str, collection: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(collection.trim_end_matches('/'))?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_whole_paths() {
        for good in [
            "/z",
            "/z/home/rods/it's & <ö>",
            "/z/...",
            "/z/a b/.hidden",
            "/z/a\nb",
        ] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            ("", PathError::NotAbsolute),
            ("z/home", PathError::NotAbsolute),
            ("/", PathError::Root),
            ("//", PathError::EmptyElement),
            ("/z//a", PathError::EmptyElement),
            ("/z/a/", PathError::EmptyElement),
            ("/z/./a", PathError::DotElement),
            ("/z/..", PathError::DotElement),
            ("/z/a\0b", PathError::Nul),
        ] {
            assert_eq!(check(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn the_limit_is_in_bytes() {
        let longest = format!("/z/{}", "a".repeat(MAX_PATH - 3));
        assert_eq!(check(&longest), Ok(()));
        assert_eq!(check(&format!("{longest}a")), Err(PathError::TooLong(1024)));
        assert_eq!(
            check(&format!("/z/{}", "ö".repeat(511))),
            Err(PathError::TooLong(1025))
        );
        assert!(check_name(&"a".repeat(MAX_PATH - 1)).is_ok());
        assert!(check_name(&"a".repeat(MAX_PATH)).is_err());
        assert!(check_name("a/b").is_err() && check_name("..").is_err() && check_name("").is_err());
    }

    #[test]
    fn takes_paths_apart_and_puts_them_together() {
        assert_eq!(parent("/z/home/a"), Some("/z/home"));
        assert_eq!(parent("/z"), Some("/"));
        assert_eq!(parent("/"), None);
        assert_eq!(parent("z"), None);
        assert_eq!(name("/z/home/a"), Some("a"));
        assert_eq!(name("/"), None);
        assert_eq!(split("/z/a"), Some(("/z", "a")));
        assert_eq!(join("/z/home/", "a"), "/z/home/a");
        assert_eq!(join("/", "z"), "/z");
        assert_eq!(zone("/z/home"), Some("z"));
        assert_eq!(zone("/"), None);
        assert_eq!(zone("home"), None);
    }

    #[test]
    fn below_does_not_confuse_siblings() {
        assert_eq!(below("/z/a/b/c", "/z/a"), Some("b/c"));
        assert_eq!(below("/z/a", "/z/a"), Some(""));
        assert_eq!(below("/z/ab", "/z/a"), None);
        assert_eq!(below("/z/a", "/"), Some("z/a"));
        assert_eq!(below("/y/a", "/z"), None);
    }
}
