//! Paging.

use irods_client::protocol::{Form, columns};
use irods_client::query::Query;

use crate::{HOME, TestZone, at};

#[tokio::test]
async fn pages_until_there_are_no_more() {
    let zone = TestZone::start().await;
    let mut c = zone.connect(Form::Xml).await;
    for n in 0..30 {
        c.touch(&at(&format!("f{n}")), None, true).await.unwrap();
    }
    for rows in [1, 7, 10, 30, 31] {
        let query = Query::select(&[columns::DATA_NAME])
            .equals(columns::COLL_NAME, HOME)
            .rows_per_page(rows);
        let mut names = c
            .query(query)
            .all(|row| row.name(columns::DATA_NAME))
            .await
            .unwrap();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 30, "{rows} a page");
    }
    // More queries left open than a connection may have cursors.
    for _ in 0..120 {
        let query = Query::select(&[columns::DATA_NAME])
            .equals(columns::COLL_NAME, HOME)
            .rows_per_page(3);
        assert_eq!(c.query(query).next().await.unwrap().unwrap().len(), 3);
    }
}
