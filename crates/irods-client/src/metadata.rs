//! AVUs: attribute, value and units on data objects, collections, resources and users.

use bstr::BString;
use irods_protocol::message::ModAvuMetadataInp;
use irods_protocol::{api, codes, columns, path};
use serde_json::{Value, json};

use crate::connection::{Connection, Request};
use crate::error::Result;
use crate::query::{Pages, Query, Row};

/// One attribute-value-units triple; the units may be empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Avu {
    /// Attribute.
    pub attribute: String,
    /// Value.
    pub value: String,
    /// Units.
    pub units: String,
}

impl Avu {
    /// A triple.
    pub fn new(
        attribute: impl Into<String>,
        value: impl Into<String>,
        units: impl Into<String>,
    ) -> Self {
        Avu {
            attribute: attribute.into(),
            value: value.into(),
            units: units.into(),
        }
    }
}

/// What carries metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entity<'a> {
    /// A data object, by logical path.
    DataObject(&'a str),
    /// A collection, by logical path.
    Collection(&'a str),
    /// A resource, by name.
    Resource(&'a str),
    /// A user or group, by name.
    User(&'a str),
}

impl<'a> Entity<'a> {
    /// The path or name.
    pub fn name(self) -> &'a str {
        match self {
            Entity::DataObject(n)
            | Entity::Collection(n)
            | Entity::Resource(n)
            | Entity::User(n) => n,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Entity::DataObject(_) => "data_object",
            Entity::Collection(_) => "collection",
            Entity::Resource(_) => "resource",
            Entity::User(_) => "user",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Entity::DataObject(_) => "-d",
            Entity::Collection(_) => "-C",
            Entity::Resource(_) => "-R",
            Entity::User(_) => "-u",
        }
    }
}

/// One step of [`Connection::apply_metadata`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AvuChange {
    /// Add it; nothing happens if it is there.
    Add(Avu),
    /// Remove it; nothing happens if it is not there.
    Remove(Avu),
}

/// The values of one attribute in one collection, as they come.
#[derive(Debug)]
pub struct ValuePages<'c>(Pages<'c>);

impl ValuePages<'_> {
    /// The next page of (object name, value); `None` after the last.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn next(&mut self) -> Result<Option<Vec<(BString, String)>>> {
        let page = self.0.next().await?;
        let value = |row: Row<'_>| {
            let value = row.text(columns::META_DATA_ATTR_VALUE);
            (row.name(columns::DATA_NAME), value)
        };
        Ok(page.map(|rows| rows.iter().map(value).collect()))
    }
}

impl AvuChange {
    fn to_json(&self) -> Value {
        let (operation, avu) = match self {
            AvuChange::Add(avu) => ("add", avu),
            AvuChange::Remove(avu) => ("remove", avu),
        };
        let mut json = json!({
            "operation": operation,
            "attribute": avu.attribute,
            "value": avu.value,
        });
        if !avu.units.is_empty() {
            json["units"] = avu.units.as_str().into();
        }
        json
    }
}

impl Connection {
    /// Adds and removes many AVUs of one entity in one call (20002), all or none, in the order given. `as_admin`: as
    /// administrator, on what is somebody else's.
    ///
    /// # Errors
    /// `SYS_INVALID_INPUT_PARAM` where the entity is missing (recorded exchange prc_avu_atomic);
    /// `CAT_NO_ACCESS_PERMISSION`; servers before 4.2.8 lack the call.
    pub async fn apply_metadata(
        &mut self,
        entity: Entity<'_>,
        changes: &[AvuChange],
        as_admin: bool,
    ) -> Result<()> {
        let operations: Vec<_> = changes.iter().map(AvuChange::to_json).collect();
        let input = json!({
            "admin_mode": as_admin,
            "entity_name": entity.name(),
            "entity_type": entity.kind(),
            "operations": operations,
        });
        let request = Request::new(api::ATOMIC_APPLY_METADATA_OPERATIONS, entity.name());
        self.call_json(request, &input).await.map(drop)
    }

    /// Adds an AVU.
    ///
    /// # Errors
    /// [`crate::Error::already_exists`] where the entity has the same triple; [`crate::Error::is_not_found`].
    pub async fn add_avu(&mut self, entity: Entity<'_>, avu: &Avu) -> Result<()> {
        self.modify_avu("add", entity, avu).await
    }

    /// Makes this the only AVU of its attribute on the entity.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`].
    pub async fn set_avu(&mut self, entity: Entity<'_>, avu: &Avu) -> Result<()> {
        self.modify_avu("set", entity, avu).await
    }

    /// Removes an AVU; whether it was there.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`] where the entity is missing.
    pub async fn remove_avu(&mut self, entity: Entity<'_>, avu: &Avu) -> Result<bool> {
        match self.modify_avu("rm", entity, avu).await {
            Ok(()) => Ok(true),
            Err(e) if e.is(codes::CAT_SUCCESS_BUT_WITH_NO_INFO) => Ok(false),
            Err(e) => Err(e),
        }
    }

    async fn modify_avu(&mut self, verb: &str, entity: Entity<'_>, avu: &Avu) -> Result<()> {
        let text = |t: &str| Some(t.to_owned());
        let input = ModAvuMetadataInp {
            arg0: text(verb),
            arg1: text(entity.flag()),
            arg2: text(entity.name()),
            arg3: text(&avu.attribute),
            arg4: text(&avu.value),
            arg5: text(&avu.units).filter(|u| !u.is_empty()),
            ..ModAvuMetadataInp::default()
        };
        let request = Request::new(api::MOD_AVU_METADATA, entity.name());
        self.call(request, Some(&input)).await.map(drop)
    }

    /// The values that an attribute has on the data objects of a collection, page by page. A missing collection has none.
    pub fn list_values(&mut self, collection: &str, attribute: &str) -> ValuePages<'_> {
        let query = Query::select(&[columns::DATA_NAME, columns::META_DATA_ATTR_VALUE])
            .equals(columns::COLL_NAME, collection)
            .equals(columns::META_DATA_ATTR_NAME, attribute);
        ValuePages(self.query(query))
    }

    /// The AVUs of an entity, sorted. A missing entity has none and is no error.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn list_avus(&mut self, entity: Entity<'_>) -> Result<Vec<Avu>> {
        let [attribute, value, units, id] = match entity {
            Entity::DataObject(_) => [
                columns::META_DATA_ATTR_NAME,
                columns::META_DATA_ATTR_VALUE,
                columns::META_DATA_ATTR_UNITS,
                columns::META_DATA_ATTR_ID,
            ],
            Entity::Collection(_) => [
                columns::META_COLL_ATTR_NAME,
                columns::META_COLL_ATTR_VALUE,
                columns::META_COLL_ATTR_UNITS,
                columns::META_COLL_ATTR_ID,
            ],
            Entity::Resource(_) => [
                columns::META_RESC_ATTR_NAME,
                columns::META_RESC_ATTR_VALUE,
                columns::META_RESC_ATTR_UNITS,
                columns::META_RESC_ATTR_ID,
            ],
            Entity::User(_) => [
                columns::META_USER_ATTR_NAME,
                columns::META_USER_ATTR_VALUE,
                columns::META_USER_ATTR_UNITS,
                columns::META_USER_ATTR_ID,
            ],
        };
        let query = Query::select(&[attribute, value, units, id]);
        let query = match entity {
            Entity::DataObject(object) => {
                let (collection, name) = path::split(object).unwrap_or(("/", object));
                query
                    .equals(columns::COLL_NAME, collection)
                    .equals(columns::DATA_NAME, name)
            }
            Entity::Collection(collection) => query.equals(columns::COLL_NAME, collection),
            Entity::Resource(name) => query.equals(columns::RESC_NAME, name),
            Entity::User(name) => query.equals(columns::USER_NAME, name),
        };
        let avu = |row: crate::query::Row<'_>| {
            Avu::new(row.text(attribute), row.text(value), row.text(units))
        };
        let mut avus = self.query(query).all(avu).await?;
        avus.sort();
        Ok(avus)
    }
}
