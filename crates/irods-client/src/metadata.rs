//! AVUs: attribute, value and units on data objects, collections, resources and users.

use irods_protocol::message::ModAvuMetadataInp;
use irods_protocol::{api, codes, columns, path};

use crate::connection::{Connection, Request};
use crate::error::Result;
use crate::query::Query;

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

    fn flag(self) -> &'static str {
        match self {
            Entity::DataObject(_) => "-d",
            Entity::Collection(_) => "-C",
            Entity::Resource(_) => "-R",
            Entity::User(_) => "-u",
        }
    }
}

impl Connection {
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
