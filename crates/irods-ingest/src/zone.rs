//! The calls to a zone that the engine makes, and nothing else of it.
//!
//! A [`Pool`] of connections answers them. So does whatever stands in for a zone where there is none: the simulation, which
//! loses replies by a seed, and the bench of the queue. The methods are those of [`irods_client::Connection`], with its errors; what they
//! promise stands there.

use std::fmt::Debug;
use std::io::{Cursor, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use bstr::BString;
use irods_client::access::Grant;
use irods_client::collection::{RemoveCollection, Replica};
use irods_client::connection::Identity;
use irods_client::data_object::{ChecksumMode, Remove};
use irods_client::metadata::{Avu, Entity};
use irods_client::register::{Leaf, NewRow, Register, Target};
use irods_client::replica::{Changes, Which};
use irods_client::transfer::Put;
use irods_client::{Answered, CallObserver, NewObject, Pool, Pooled, Result};

/// A zone that can be connected to.
#[async_trait]
pub trait Zone: Debug + Send + Sync {
    /// The zone's name.
    fn name(&self) -> &str;

    /// The same zone, with each call on its connections told to `observer`; `None` where they are no calls of iRODS.
    fn observed(&self, _observer: Arc<dyn CallObserver>) -> Option<Arc<dyn Zone>> {
        None
    }

    /// A connection; waits while all that may be there at once are in use.
    async fn get(&self) -> Result<Box<dyn Session>>;

    /// A connection on which another user is acted for.
    async fn get_acting_for(&self, who: &Identity) -> Result<Box<dyn Session>>;
}

/// A connection on loan.
#[async_trait]
pub trait Session: Debug + Send {
    /// The replicas of a data object, by number; none if it is not there.
    async fn replicas(&mut self, object: &str) -> Result<Vec<Replica>>;

    /// Whether a collection is there.
    async fn collection_exists(&mut self, collection: &str) -> Result<bool>;

    /// The replicas of all data objects of a collection, page by page until `page` breaks off.
    async fn list_replicas(
        &mut self,
        collection: &str,
        page: &mut (dyn FnMut(Vec<(BString, Replica)>) -> ControlFlow<()> + Send),
    ) -> Result<()>;

    /// Names of the collections in a collection.
    async fn list_subcollections(&mut self, collection: &str) -> Result<Vec<BString>>;

    /// Makes a collection whose parent is there.
    async fn create_collection(&mut self, collection: &str) -> Result<()>;

    /// Takes an empty collection out of the catalog.
    async fn remove_empty_collection(&mut self, collection: &str) -> Result<()>;

    /// Registers a file.
    async fn register(&mut self, object: &str, what: &Register) -> Result<()>;

    /// A resource that holds files, for [`Session::register_row`].
    async fn leaf(&mut self, resource: &str) -> Result<Leaf>;

    /// Writes the row of a new data object, which the zone hardly checks.
    async fn register_row(&mut self, row: &NewRow, leaf: &Leaf, mtime: i64) -> Result<()>;

    /// Whether it may be asked for more before it has answered.
    fn takes_requests_ahead(&self) -> bool;

    /// Makes data objects one after the other, as [`irods_client::Connection::create_all`] does.
    async fn create_all(
        &mut self,
        all: &[NewObject<'_>],
        answered: &mut Answered<'_>,
    ) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(all.len());
        for new in all {
            let result = self.create(new).await;
            answered(&result);
            results.push(result);
        }
        results
    }

    /// Makes one of them.
    async fn create(&mut self, new: &NewObject<'_>) -> Result<()> {
        match *new {
            NewObject::Registered { object, what } => self.register(object, what).await,
            NewObject::Row { row, leaf, mtime } => self.register_row(row, leaf, mtime).await,
            NewObject::Put { object, bytes, how } => self.put_bytes(object, bytes, how).await,
        }
    }

    /// Changes a replica's row.
    async fn modify_replica(
        &mut self,
        object: &str,
        which: &Which,
        changes: &Changes,
    ) -> Result<()>;

    /// Uploads `size` bytes.
    async fn put(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        how: &Put,
    ) -> Result<()>;

    /// The same over up to `streams` connections where that is possible and worthwhile; the object is not good before the last
    /// of them is done.
    async fn put_in_streams(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        how: &Put,
        _streams: usize,
    ) -> Result<()> {
        self.put(object, source, size, how).await
    }

    /// Uploads what is in memory.
    async fn put_bytes(&mut self, object: &str, bytes: &[u8], how: &Put) -> Result<()> {
        let source = Box::new(Cursor::new(bytes.to_vec()));
        self.put(object, source, bytes.len() as u64, how).await
    }

    /// Writes `size` bytes to the end of an object that has `expected` so far.
    async fn append(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        expected: u64,
        target: Option<&Target>,
    ) -> Result<()>;

    /// The checksum that is stored, or computed if none is.
    async fn checksum(&mut self, object: &str) -> Result<String>;

    /// Attaches an AVU.
    async fn add_avu(&mut self, to: Entity<'_>, avu: &Avu) -> Result<()>;

    /// Makes an AVU the only one of its attribute.
    async fn set_avu(&mut self, to: Entity<'_>, avu: &Avu) -> Result<()>;

    /// Gives and takes permissions, all or none.
    async fn apply_access(&mut self, path: &str, grants: &[Grant]) -> Result<()>;

    /// The AVUs of a data object.
    async fn list_avus(&mut self, of: Entity<'_>) -> Result<Vec<Avu>>;

    /// The values that an attribute has on the data objects of a collection, page by page until `page` breaks off.
    async fn list_values(
        &mut self,
        collection: &str,
        attribute: &str,
        page: &mut (dyn FnMut(Vec<(BString, String)>) -> ControlFlow<()> + Send),
    ) -> Result<()>;

    /// Takes an AVU from a data object; whether it had it.
    async fn remove_avu(&mut self, from: Entity<'_>, avu: &Avu) -> Result<bool>;

    /// Removes a data object.
    async fn remove_data_object(&mut self, object: &str, how: Remove) -> Result<()>;
}

#[async_trait]
impl Zone for Pool {
    fn name(&self) -> &str {
        &self.environment().zone
    }

    fn observed(&self, observer: Arc<dyn CallObserver>) -> Option<Arc<dyn Zone>> {
        Some(Arc::new(Pool::observed(self, observer)))
    }

    async fn get(&self) -> Result<Box<dyn Session>> {
        Ok(Box::new(Pool::get(self).await?))
    }

    async fn get_acting_for(&self, who: &Identity) -> Result<Box<dyn Session>> {
        let connection = Pool::get_acting_for(self, &who.user, &who.zone).await?;
        Ok(Box::new(connection))
    }
}

#[async_trait]
impl Session for Pooled {
    async fn replicas(&mut self, object: &str) -> Result<Vec<Replica>> {
        (**self).replicas(object).await
    }

    async fn collection_exists(&mut self, collection: &str) -> Result<bool> {
        (**self).collection_exists(collection).await
    }

    async fn list_replicas(
        &mut self,
        collection: &str,
        page: &mut (dyn FnMut(Vec<(BString, Replica)>) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let mut pages = (**self).list_replicas(collection);
        while let Some(rows) = pages.next().await? {
            if page(rows).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn list_subcollections(&mut self, collection: &str) -> Result<Vec<BString>> {
        (**self).list_subcollections(collection).await
    }

    async fn create_collection(&mut self, collection: &str) -> Result<()> {
        (**self).create_collection(collection, false).await
    }

    async fn remove_empty_collection(&mut self, collection: &str) -> Result<()> {
        let how = RemoveCollection::UnregisterEmpty;
        (**self)
            .remove_collection(collection, how, &mut |_| {})
            .await
    }

    async fn register(&mut self, object: &str, what: &Register) -> Result<()> {
        (**self).register(object, what).await
    }

    async fn leaf(&mut self, resource: &str) -> Result<Leaf> {
        (**self).leaf(resource).await
    }

    async fn register_row(&mut self, row: &NewRow, leaf: &Leaf, mtime: i64) -> Result<()> {
        let written = (**self).register_row(row, leaf, Some(mtime)).await;
        written.map(drop)
    }

    fn takes_requests_ahead(&self) -> bool {
        (**self).takes_requests_ahead()
    }

    async fn create_all(
        &mut self,
        all: &[NewObject<'_>],
        answered: &mut Answered<'_>,
    ) -> Vec<Result<()>> {
        (**self).create_all(all, answered).await
    }

    async fn modify_replica(
        &mut self,
        object: &str,
        which: &Which,
        changes: &Changes,
    ) -> Result<()> {
        (**self).modify_replica(object, which, changes).await
    }

    async fn put(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        how: &Put,
    ) -> Result<()> {
        (**self).put(object, source, size, how).await.map(drop)
    }

    async fn put_bytes(&mut self, object: &str, bytes: &[u8], how: &Put) -> Result<()> {
        (**self).put_bytes(object, bytes, how).await.map(drop)
    }

    async fn put_in_streams(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        how: &Put,
        streams: usize,
    ) -> Result<()> {
        let stored = Pooled::put_in_streams(self, object, source, size, how, streams);
        stored.await.map(drop)
    }

    async fn append(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        expected: u64,
        target: Option<&Target>,
    ) -> Result<()> {
        (**self)
            .append(object, source, size, Some(expected), target)
            .await
    }

    async fn checksum(&mut self, object: &str) -> Result<String> {
        (**self).checksum(object, ChecksumMode::Stored).await
    }

    async fn add_avu(&mut self, to: Entity<'_>, avu: &Avu) -> Result<()> {
        (**self).add_avu(to, avu).await
    }

    async fn set_avu(&mut self, to: Entity<'_>, avu: &Avu) -> Result<()> {
        (**self).set_avu(to, avu).await
    }

    async fn apply_access(&mut self, path: &str, grants: &[Grant]) -> Result<()> {
        (**self).apply_access(path, grants, false).await
    }

    async fn list_avus(&mut self, of: Entity<'_>) -> Result<Vec<Avu>> {
        (**self).list_avus(of).await
    }

    async fn list_values(
        &mut self,
        collection: &str,
        attribute: &str,
        page: &mut (dyn FnMut(Vec<(BString, String)>) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let mut pages = (**self).list_values(collection, attribute);
        while let Some(values) = pages.next().await? {
            if page(values).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn remove_avu(&mut self, from: Entity<'_>, avu: &Avu) -> Result<bool> {
        (**self).remove_avu(from, avu).await
    }

    async fn remove_data_object(&mut self, object: &str, how: Remove) -> Result<()> {
        (**self).remove_data_object(object, how).await
    }
}
