//! Several data objects whose requests go out before the first is answered.

use irods_client::NewObject;
use irods_client::protocol::{Form, codes};
use irods_client::register::{NewRow, Register};
use irods_client::transfer::{Put, PutChecksum};

use crate::{TestZone, at, content, in_both_packings};

in_both_packings! {
    each_of_several_has_its_own_end => at_once_xml, at_once_native;
}

async fn each_of_several_has_its_own_end(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let leaf = c.leaf("demoResc").await.unwrap();
    let names: Vec<String> = (0..40).map(|n| at(&format!("o{n}"))).collect();
    let what = Register {
        file: zone.file("data", b"twelve bytes"),
        size: Some(12),
        mtime: Some(1_500_000_000),
        ..Register::default()
    };
    let row = NewRow {
        object: names[20].clone(),
        file: what.file.clone(),
        size: 12,
        ..NewRow::default()
    };
    let how = Put {
        checksum: PutChecksum::Verify,
        ..Put::default()
    };
    let nowhere = at("no/collection");
    for taken in [7, 31] {
        c.register(&names[taken], &what).await.unwrap();
    }
    let new = |(index, name)| match index {
        10 => NewObject::Put {
            object: &nowhere,
            bytes: b"lost",
            how: &how,
        },
        20 => NewObject::Row {
            row: &row,
            leaf: &leaf,
            mtime: 1_500_000_000,
        },
        30.. => NewObject::Put {
            object: name,
            bytes: b"twelve bytes",
            how: &how,
        },
        _ => NewObject::Registered {
            object: name,
            what: &what,
        },
    };
    let all: Vec<_> = names
        .iter()
        .map(String::as_str)
        .enumerate()
        .map(new)
        .collect();
    let results = c.create_all(&all, &mut |_| {}).await;
    assert_eq!(results.len(), all.len());
    for (index, result) in results.into_iter().enumerate() {
        match index {
            7 | 31 => assert!(result.unwrap_err().already_exists()),
            10 => {
                assert!(result.unwrap_err().is(codes::CAT_UNKNOWN_COLLECTION));
                continue;
            }
            _ => result.unwrap(),
        }
        let replicas = c.replicas(&names[index]).await.unwrap();
        assert_eq!((replicas.len(), replicas[0].size), (1, 12), "{index}");
        let checked = index >= 30 && index != 31;
        assert_eq!(
            replicas[0].checksum.starts_with("sha2:"),
            checked,
            "{index}"
        );
        match checked {
            true => assert_eq!(content(&mut c, &names[index]).await, b"twelve bytes"),
            false => assert_eq!(replicas[0].mtime, 1_500_000_000, "{index}"),
        }
    }
}
