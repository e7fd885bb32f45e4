//! AVUs that say what the file behind a data object was: the target of a link, a socket, a name that is not UTF-8.

use bstr::{BStr, ByteSlice};
use irods_client::Pooled;
use irods_client::metadata::{Avu, Entity};

use super::FileAction;
use crate::error::SyncError;
use crate::naming;
use crate::source::EntryKind;

/// Attaches them to a data object that was created. Those that are there already stay.
pub(super) async fn annotate(zone: &mut Pooled, action: &FileAction<'_>) -> Result<(), SyncError> {
    let link = action
        .link
        .map(|text| link_target(action.subject.path, text));
    let socket = (action.kind == EntryKind::Socket).then(|| Avu {
        attribute: "socket_target".into(),
        value: "socket".into(),
        units: UNITS.into(),
    });
    let undecodable = naming::unencodable_avu(action.name, action.subject.path);
    for avu in [link, socket, undecodable].into_iter().flatten() {
        let entity = Entity::DataObject(action.subject.target);
        match zone.add_avu(entity, &avu).await {
            Err(error) if error.already_exists() => {}
            done => done?,
        }
    }
    Ok(())
}

const UNITS: &str = "automated_ingest";

/// The link's text, made absolute by the link's own directory; not normalised, as existing catalogs have it. AVUs hold text
/// only: bytes that are not UTF-8 are replaced.
fn link_target(link: &[u8], text: &[u8]) -> Avu {
    let directory = link.rfind_byte(b'/').map_or(&b""[..], |at| &link[..at]);
    let value = match text.starts_with(b"/") {
        true => BStr::new(text).to_string(),
        false => format!("{}/{}", BStr::new(directory), BStr::new(text)),
    };
    Avu {
        attribute: "link_target".into(),
        value,
        units: UNITS.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_targets_are_absolute_and_not_normalised() {
        assert_eq!(link_target(b"/data/a/link", b"../b").value, "/data/a/../b");
        assert_eq!(link_target(b"/data/a/link", b"/x").value, "/x");
        assert_eq!(link_target(b"/link", b"x").value, "/x");
    }
}
