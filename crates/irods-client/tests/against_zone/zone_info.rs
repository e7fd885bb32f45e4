//! What a zone says of itself.

use irods_client::protocol::{Form, api};

use crate::{TestZone, in_both_packings};

in_both_packings! {
    what_a_zone_consists_of => information_xml, information_native;
}

async fn what_a_zone_consists_of(form: Form) {
    let zone = TestZone::start().await;
    let mut c = zone.connect(form).await;
    let info = c.server_info().await.unwrap();
    assert_eq!(info.zone, "tempZone");
    assert_eq!(info.release, c.server_version().to_wire());
    assert!(info.boot_time > 1_700_000_000);
    let resources = c.list_resources().await.unwrap();
    assert!(resources.iter().any(|r| r.name == "demoResc"));
    let resource = c.resource("demoResc").await.unwrap().unwrap();
    assert_eq!(
        (resource.kind.as_str(), resource.parent),
        ("unixfilesystem", None)
    );
    assert_eq!(c.resource("noSuchResc").await.unwrap(), None);
    assert_eq!(c.resource_hierarchy("demoResc").await.unwrap(), "demoResc");
    let error = c.resource_hierarchy("noSuchResc").await.unwrap_err();
    assert!(error.code().is_some(), "{error}");
    let users = c.list_users().await.unwrap();
    let admin = users.iter().find(|u| u.name == "rods").unwrap();
    assert_eq!(
        (admin.kind.as_str(), admin.zone.as_str()),
        ("rodsadmin", "tempZone")
    );
    c.disconnect().await;
    assert!(zone.zone.call_counts()[&api::GET_MISC_SVR_INFO] >= 1);
}
