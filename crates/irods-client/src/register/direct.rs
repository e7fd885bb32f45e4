//! Rows written into the catalog as they are given: two to seven times as fast as a registration, for the checks that are not made.
//!
//! Both calls check that the collection is there and may be written, that no collection has the name, and that the data type is
//! known. **Neither looks at the file system, asks the site's policy for registrations (`acSetChkFilePathPerm`) or fires its
//! events**, so ordinary users can register any path of the server: a site may have to keep them from it. Sizes, checksums
//! and resources are believed (server source 4.2.8 to 5.0.2; recorded exchanges raw_reg_data_obj, raw_bulk_data_obj_reg).

use bstr::BString;
use irods_protocol::limits::{MAX_NAME_LEN, NAME_LEN};
use irods_protocol::message::{DataObjInfo, GenQueryOut, SqlResult};
use irods_protocol::{api, codes, columns, path};

use crate::collection::bad_path;
use crate::connection::{Connection, Identity, Request};
use crate::error::{Call, Error, Result, ServerError};

/// Most rows of one bulk registration. Servers do not look at the number, but have no more room for the answer.
pub const BULK_MAX: usize = 50;

/// The column that says what to do with a row.
const OPERATION: i32 = 999_999;
/// Mode of the file, `rw-r--r--`, decimal.
const MODE: &str = "420";
/// Replica status.
const GOOD: i32 = 1;

/// A resource that holds files itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// Catalog id. Servers find the hierarchy by it.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Hierarchy, `root;child;leaf`.
    pub hierarchy: String,
}

/// A data object to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRow {
    /// Logical path.
    pub object: String,
    /// Physical path as the server sees it.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// Checksum to store, unverified.
    pub checksum: Option<String>,
    /// Data type; `generic` if not given.
    pub data_type: Option<String>,
}

impl NewRow {
    fn check(&self, call: Call) -> Result<()> {
        path::check(&self.object).map_err(|e| bad_path(call, &self.object, &e))?;
        let texts = [
            ("physical path", self.file.as_str(), MAX_NAME_LEN),
            (
                "checksum",
                self.checksum.as_deref().unwrap_or_default(),
                NAME_LEN,
            ),
            ("data type", self.data_type(), NAME_LEN),
        ];
        for (what, text, capacity) in texts {
            if text.len() >= capacity || text.contains('\0') {
                return Err(Error::Input {
                    call,
                    path: self.object.clone(),
                    reason: format!(
                        "its {what} is longer than {} bytes or has NUL",
                        capacity - 1
                    ),
                });
            }
        }
        Ok(())
    }

    /// As the row that `owner` gets.
    pub(crate) fn input(
        &self,
        leaf: &Leaf,
        owner: &Identity,
        mtime: Option<i64>,
    ) -> Result<DataObjInfo> {
        self.check(Call::Api(api::REG_DATA_OBJ))?;
        Ok(DataObjInfo {
            obj_path: self.object.clone(),
            resc_name: leaf.name.clone(),
            resc_hier: leaf.hierarchy.clone(),
            resc_id: leaf.id,
            data_type: self.data_type().to_owned(),
            data_size: i64::try_from(self.size).unwrap_or(i64::MAX),
            chksum: self.checksum.clone().unwrap_or_default(),
            file_path: self.file.clone(),
            data_owner_name: owner.user.clone(),
            data_owner_zone: owner.zone.clone(),
            repl_status: GOOD,
            data_mode: MODE.to_owned(),
            // Stored as it is; catalogs sort times as texts of eleven digits.
            data_modify: mtime.map(|t| format!("{t:011}")).unwrap_or_default(),
            ..DataObjInfo::default()
        })
    }

    fn data_type(&self) -> &str {
        self.data_type.as_deref().unwrap_or("generic")
    }
}

impl Connection {
    /// A resource that holds files, by name, for direct registrations. Two calls; the answer stays right for as long as the
    /// resource is not moved in its hierarchy.
    ///
    /// # Errors
    /// `SYS_RESC_DOES_NOT_EXIST`.
    pub async fn leaf(&mut self, name: &str) -> Result<Leaf> {
        let Some(resource) = self.resource(name).await? else {
            return Err(ServerError {
                code: codes::SYS_RESC_DOES_NOT_EXIST,
                call: Call::Api(api::GEN_QUERY),
                path: name.to_owned(),
                messages: Vec::new(),
            }
            .into());
        };
        Ok(Leaf {
            id: resource.id,
            hierarchy: self.resource_hierarchy(name).await?,
            name: resource.name,
        })
    }

    /// Writes the row of a new data object with one good replica (call 619); its catalog id. `mtime` is in seconds since 1970,
    /// now if not given.
    ///
    /// # Errors
    /// [`Error::already_exists`]; [`Error::is_not_found`] where the collection is missing; `CAT_NO_ACCESS_PERMISSION`;
    /// `CAT_INVALID_DATA_TYPE`.
    pub async fn register_row(
        &mut self,
        row: &NewRow,
        leaf: &Leaf,
        mtime: Option<i64>,
    ) -> Result<i64> {
        let input = row.input(leaf, &self.identity, mtime)?;
        let request = Request::new(api::REG_DATA_OBJ, &row.object);
        let output: DataObjInfo = self.ask(request, Some(&input)).await?;
        Ok(output.data_id)
    }

    /// Writes the rows of up to [`BULK_MAX`] new data objects with one good replica each (call 688), all or none. Their
    /// modification time is now.
    ///
    /// The caller makes sure that **no name is taken by an object without a replica 0**: only a replica of the same number is
    /// looked for, so another object of the same path would result. All must be of one zone.
    ///
    /// # Errors
    /// [`Error::already_exists`], [`Error::is_not_found`] where a collection is missing, `CAT_NO_ACCESS_PERMISSION`: nothing was
    /// written, and which row it was about is not told. [`Error::Input`] for more rows than that.
    pub async fn register_rows(&mut self, rows: &[NewRow], leaf: &Leaf) -> Result<()> {
        let call = Call::Api(api::BULK_DATA_OBJ_REG);
        let Some(first) = rows.first() else {
            return Ok(());
        };
        if rows.len() > BULK_MAX {
            return Err(Error::Input {
                call,
                path: first.object.clone(),
                reason: format!("{} rows where {BULK_MAX} are the most", rows.len()),
            });
        }
        rows.iter().try_for_each(|row| row.check(call))?;
        let request = Request::new(api::BULK_DATA_OBJ_REG, &first.object);
        self.call(request, Some(&table(rows, leaf))).await.map(drop)
    }
}

/// The rows column by column, as the C library lays them out.
fn table(rows: &[NewRow], leaf: &Leaf) -> GenQueryOut {
    let column = |attri_inx, capacity: usize, value: &dyn Fn(&NewRow) -> String| SqlResult {
        attri_inx,
        reslen: i32::try_from(capacity).unwrap_or(i32::MAX),
        values: rows.iter().map(|row| BString::from(value(row))).collect(),
    };
    GenQueryOut {
        row_cnt: i32::try_from(rows.len()).unwrap_or(i32::MAX),
        continue_inx: -1,
        total_row_count: 0,
        columns: vec![
            // The whole path, although the column is the name's.
            column(columns::DATA_NAME, MAX_NAME_LEN, &|r| r.object.clone()),
            column(columns::DATA_TYPE_NAME, NAME_LEN, &|r| {
                r.data_type().to_owned()
            }),
            column(columns::DATA_SIZE, NAME_LEN, &|r| r.size.to_string()),
            column(columns::DATA_RESC_NAME, NAME_LEN, &|_| leaf.name.clone()),
            column(columns::DATA_PATH, MAX_NAME_LEN, &|r| r.file.clone()),
            column(columns::DATA_MODE, NAME_LEN, &|_| MODE.to_owned()),
            column(OPERATION, NAME_LEN, &|_| "register".to_owned()),
            column(columns::DATA_REPL_NUM, NAME_LEN, &|_| "0".to_owned()),
            column(columns::DATA_CHECKSUM, NAME_LEN, &|r| {
                r.checksum.clone().unwrap_or_default()
            }),
            column(columns::DATA_RESC_ID, MAX_NAME_LEN, &|_| {
                leaf.id.to_string()
            }),
        ],
    }
}
