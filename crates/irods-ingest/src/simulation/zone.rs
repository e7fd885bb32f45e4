//! A zone in memory, over a network that loses calls. What it answers is what servers answer; what it leaves when a transfer
//! breaks off is what they leave.
//!
//! Whatever a server has begun it goes on with when its client is gone, except for an upload of several messages, which
//! leaves a stale object. When the zone is killed, whatever was being written is stale.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bstr::BString;
use irods_client::access::Grant;
use irods_client::collection::{Replica, ReplicaStatus};
use irods_client::connection::Identity;
use irods_client::data_object::Remove;
use irods_client::error::{Call, Delivery, Left, Loss, LossCause, ServerError};
use irods_client::metadata::{Avu, Entity};
use irods_client::protocol::{api, codes, path};
use irods_client::register::{Leaf, NewRow, Register, Target};
use irods_client::replica::{Changes, Which};
use irods_client::transfer::Put;
use irods_client::{Answered, Error, NewObject, Result};
use sha2::{Digest, Sha256};

use super::catalog::{Answer, Catalog, Object, check_good, replica};
use super::host::{Fate, Host, World};
use crate::zone::{Session, Zone};

/// Uploads of more bytes take several messages.
const ONE_MESSAGE: u64 = 6;

/// The zone itself.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) world: Arc<World>,
    pub(super) catalog: Mutex<Catalog>,
}

impl Server {
    pub(super) fn new(world: Arc<World>) -> Arc<Self> {
        let mut catalog = Catalog::default();
        for collection in ["/", "/z", "/z/home", "/z/home/rods"] {
            catalog.collections.insert(collection.into());
        }
        Arc::new(Self {
            world,
            catalog: Mutex::new(catalog),
        })
    }

    fn seconds(&self) -> i64 {
        self.world.now().seconds
    }

    fn carry_out<T>(
        &self,
        life: u64,
        effect: impl FnOnce(&mut Catalog, i64) -> Answer<T>,
    ) -> Answer<T> {
        let mut catalog = self.catalog.lock().unwrap();
        catalog.come_to(life);
        effect(&mut catalog, self.seconds())
    }
}

/// The zone as one worker reaches it.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) server: Arc<Server>,
    pub(super) host: Arc<Host>,
}

#[async_trait]
impl Zone for Reach {
    fn name(&self) -> &str {
        "z"
    }

    async fn get(&self) -> Result<Box<dyn Session>> {
        let fate = self.host.begin("connect", "").await;
        let lost = matches!(fate, Fate::LostBefore | Fate::LostAfter | Fate::Late(_));
        if lost || self.server.world.zone_life().is_none() {
            return Err(loss(Call::Connect, "", Delivery::None));
        }
        Ok(Box::new(Conversation {
            server: self.server.clone(),
            host: self.host.clone(),
            usable: true,
        }))
    }

    async fn get_acting_for(&self, _: &Identity) -> Result<Box<dyn Session>> {
        unreachable!("nothing is chosen")
    }
}

fn loss(call: Call, subject: &str, delivery: Delivery) -> Error {
    Loss {
        peer: "zone:1247".into(),
        call,
        path: subject.into(),
        cause: LossCause::Closed,
        delivery,
    }
    .into()
}

#[derive(Debug)]
struct Conversation {
    server: Arc<Server>,
    host: Arc<Host>,
    usable: bool,
}

/// An upload's bytes and how it goes.
struct Upload {
    object: String,
    bytes: Vec<u8>,
    over: bool,
    append: Option<u64>,
}

/// Says that a client is there no more.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Conversation {
    async fn call<T: Send + 'static>(
        &mut self,
        number: i32,
        subject: &str,
        effect: impl FnOnce(&mut Catalog, i64) -> Answer<T> + Send + 'static,
    ) -> Result<T> {
        let (call, name) = (Call::Api(number), api::name_of(number).unwrap_or("call"));
        if !std::mem::replace(&mut self.usable, false) {
            return Err(loss(call, subject, Delivery::None));
        }
        let world = self.server.world.clone();
        world.count(|happened| happened.zone_calls += 1);
        let fate = self.host.begin(name, subject).await;
        let Some(life) = world.zone_life() else {
            return Err(loss(call, subject, Delivery::None));
        };
        let answer = match fate {
            Fate::LostBefore => return Err(loss(call, subject, Delivery::Possible)),
            Fate::Late(delay) => {
                let server = self.server.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    if server.world.zone_life() == Some(life) {
                        let _ = server.carry_out(life, effect);
                    }
                });
                self.host.end(name).await;
                return Err(loss(call, subject, Delivery::Possible));
            }
            Fate::Locked if is_about_objects(number) => Err(codes::LOCKED_DATA_OBJECT_ACCESS),
            _ => self.server.carry_out(life, effect),
        };
        self.host.end(name).await;
        if fate == Fate::LostAfter || world.zone_life() != Some(life) {
            return Err(loss(call, subject, Delivery::Possible));
        }
        self.usable = true;
        answer.map_err(|code| said(code, call, subject))
    }

    async fn upload(&mut self, upload: Upload) -> Result<()> {
        let (number, name) = (api::DATA_OBJ_PUT, "PUT");
        let call = Call::Api(number);
        let object = upload.object.clone();
        if !std::mem::replace(&mut self.usable, false) {
            return Err(loss(call, &object, Delivery::None));
        }
        let world = self.server.world.clone();
        world.count(|happened| happened.zone_calls += 1);
        let fate = self.host.begin(name, &object).await;
        let Some(life) = world.zone_life() else {
            return Err(loss(call, &object, Delivery::None));
        };
        if fate == Fate::Locked {
            self.usable = true;
            return Err(said(codes::LOCKED_DATA_OBJECT_ACCESS, call, &object));
        }
        let streamed = upload.append.is_some() || upload.bytes.len() as u64 > ONE_MESSAGE;
        if fate == Fate::LostBefore && !streamed {
            return Err(torn(loss(call, &object, Delivery::Possible)));
        }
        let delay = match fate {
            Fate::Late(delay) if !streamed => delay,
            _ => Duration::ZERO,
        };
        let takes = Duration::from_millis(u64::from(world.below(300)));
        let gone = Arc::new(AtomicBool::new(false));
        let cut = fate != Fate::Answered && streamed;
        let agent = tokio::spawn(serve(
            self.server.clone(),
            upload,
            life,
            delay,
            takes,
            gone.clone(),
            cut,
        ));
        let _client = Gone(if streamed { gone } else { Arc::default() });
        if fate != Fate::Answered {
            self.host.end(name).await;
            return Err(torn(loss(call, &object, Delivery::Possible)));
        }
        let answer = agent.await.unwrap();
        self.host.end(name).await;
        if world.zone_life() != Some(life) {
            return Err(torn(loss(call, &object, Delivery::Possible)));
        }
        self.usable = true;
        answer.map_err(|code| said(code, call, &object))
    }
}

/// What a server does with an upload. Of one whose client is gone or cut off it has only a part.
async fn serve(
    server: Arc<Server>,
    upload: Upload,
    life: u64,
    delay: Duration,
    takes: Duration,
    gone: Arc<AtomicBool>,
    cut: bool,
) -> Answer<()> {
    tokio::time::sleep(delay).await;
    let world = server.world.clone();
    if world.zone_life() != Some(life) {
        return Ok(());
    }
    let Upload {
        object,
        bytes,
        over,
        append,
    } = upload;
    let writer = server.carry_out(life, |catalog, now| {
        catalog.begin_put(&object, over, append, now)
    })?;
    tokio::time::sleep(takes).await;
    if world.zone_life() != Some(life) {
        return Ok(());
    }
    let whole = !cut && !gone.load(Ordering::SeqCst);
    server.carry_out(life, |catalog, now| {
        catalog.end_put(&object, writer, &bytes, whole, now);
        Ok(())
    })
}

fn torn(cause: Error) -> Error {
    Error::Transfer {
        cause: Box::new(cause),
        left: Left::Unknown,
    }
}

fn said(code: i32, call: Call, subject: &str) -> Error {
    ServerError {
        code,
        call,
        path: subject.into(),
        messages: Vec::new(),
    }
    .into()
}

fn is_about_objects(number: i32) -> bool {
    [
        api::PHY_PATH_REG,
        api::DATA_OBJ_UNLINK,
        api::MOD_DATA_OBJ_META,
        api::DATA_OBJ_CHKSUM,
    ]
    .contains(&number)
}

fn read(mut source: Box<dyn Read + Send>) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).unwrap();
    bytes
}

impl Conversation {
    /// Makes the object of a file that is registered.
    async fn insert(&mut self, api: i32, object: &str, what: &Register) -> Result<()> {
        let (name, what) = (object.to_owned(), what.clone());
        let effect = move |catalog: &mut Catalog, now| {
            catalog.check_new(&name)?;
            if catalog.objects.contains_key(&name) {
                return Err(codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME);
            }
            check_good(&name)?;
            let replica = Replica {
                size: what.size.unwrap(),
                mtime: what.mtime.unwrap_or(now),
                path: what.file.into(),
                ..replica(&name, now)
            };
            let object = Object {
                replica,
                content: Vec::new(),
                writer: 0,
            };
            catalog.objects.insert(name, object);
            Ok(())
        };
        self.call(api, object, effect).await
    }
}

#[async_trait]
impl Session for Conversation {
    async fn replicas(&mut self, object: &str) -> Result<Vec<Replica>> {
        let name = object.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            let found = catalog.objects.get(&name);
            Ok(found
                .map(|object| object.replica.clone())
                .into_iter()
                .collect())
        };
        self.call(api::GEN_QUERY, object, effect).await
    }

    async fn collection_exists(&mut self, collection: &str) -> Result<bool> {
        let name = collection.to_owned();
        let effect = move |catalog: &mut Catalog, _| Ok(catalog.collections.contains(&name));
        self.call(api::GEN_QUERY, collection, effect).await
    }

    async fn list_replicas(
        &mut self,
        collection: &str,
        page: &mut (dyn FnMut(Vec<(BString, Replica)>) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let name = collection.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            let below = catalog.objects.iter().filter_map(|(path, object)| {
                let (parent, last) = path::split(path)?;
                (parent == name).then(|| (BString::from(last), object.replica.clone()))
            });
            Ok(below.collect::<Vec<_>>())
        };
        let rows = self.call(api::GEN_QUERY, collection, effect).await?;
        for rows in rows.chunks(3) {
            if page(rows.to_vec()).is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn list_subcollections(&mut self, collection: &str) -> Result<Vec<BString>> {
        let name = collection.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            let below = catalog.collections.iter().filter_map(|path| {
                let (parent, last) = path::split(path)?;
                (parent == name).then(|| BString::from(last))
            });
            Ok(below.collect())
        };
        self.call(api::GEN_QUERY, collection, effect).await
    }

    async fn create_collection(&mut self, collection: &str) -> Result<()> {
        let name = collection.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            match catalog.check_new(&name) {
                Err(codes::CAT_NAME_EXISTS_AS_COLLECTION) => {
                    return Err(codes::CATALOG_ALREADY_HAS_ITEM_BY_THAT_NAME);
                }
                checked => checked?,
            }
            if catalog.objects.contains_key(&name) {
                return Err(codes::CAT_NAME_EXISTS_AS_DATAOBJ);
            }
            catalog.collections.insert(name);
            Ok(())
        };
        self.call(api::COLL_CREATE, collection, effect).await
    }

    async fn remove_empty_collection(&mut self, collection: &str) -> Result<()> {
        let name = collection.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            if !catalog.collections.contains(&name) {
                return Err(codes::CAT_UNKNOWN_COLLECTION);
            }
            let within = |path: &String| path::parent(path) == Some(name.as_str());
            if catalog.objects.keys().any(within) || catalog.collections.iter().any(within) {
                return Err(codes::CAT_COLLECTION_NOT_EMPTY);
            }
            catalog.collections.remove(&name);
            Ok(())
        };
        self.call(api::RM_COLL, collection, effect).await
    }

    async fn register(&mut self, object: &str, what: &Register) -> Result<()> {
        assert!(!what.as_replica);
        self.insert(api::PHY_PATH_REG, object, what).await
    }

    async fn leaf(&mut self, resource: &str) -> Result<Leaf> {
        Ok(Leaf {
            id: 10_000,
            name: resource.into(),
            hierarchy: resource.into(),
        })
    }

    async fn register_row(&mut self, row: &NewRow, _: &Leaf, mtime: i64) -> Result<()> {
        let what = Register {
            file: row.file.clone(),
            size: Some(row.size),
            mtime: Some(mtime),
            ..Register::default()
        };
        self.insert(api::REG_DATA_OBJ, &row.object, &what).await
    }

    fn takes_requests_ahead(&self) -> bool {
        true
    }

    /// All are sent at once: what comes after a lost reply may be carried out, and nobody hears of it.
    async fn create_all(
        &mut self,
        all: &[NewObject<'_>],
        answered: &mut Answered<'_>,
    ) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(all.len());
        let mut was_lost = false;
        for new in all {
            self.usable |= was_lost;
            let result = match (self.create(new).await, was_lost, new) {
                (result, false, _) => result,
                (_, true, NewObject::Put { object, .. }) => {
                    let call = Call::Api(api::DATA_OBJ_PUT);
                    Err(torn(loss(call, object, Delivery::Possible)))
                }
                (_, true, _) => Err(loss(Call::Api(api::PHY_PATH_REG), "", Delivery::Possible)),
            };
            answered(&result);
            results.push(result);
            was_lost |= !self.usable;
            self.usable &= !was_lost;
        }
        results
    }

    async fn modify_replica(
        &mut self,
        object: &str,
        which: &Which,
        changes: &Changes,
    ) -> Result<()> {
        assert_eq!(*which, Which::Number(0));
        let (name, changes) = (object.to_owned(), changes.clone());
        let effect = move |catalog: &mut Catalog, _| {
            check_good(&name)?;
            let replica = &mut catalog.object(&name)?.replica;
            replica.size = changes.size.unwrap_or(replica.size);
            replica.mtime = changes.mtime.unwrap_or(replica.mtime);
            replica.checksum = changes.checksum.unwrap_or_default();
            if changes.good {
                replica.status = ReplicaStatus::Good;
            }
            Ok(())
        };
        self.call(api::MOD_DATA_OBJ_META, object, effect).await
    }

    async fn put(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        how: &Put,
    ) -> Result<()> {
        let bytes = read(source);
        assert_eq!(bytes.len() as u64, size);
        self.upload(Upload {
            object: object.to_owned(),
            bytes,
            over: how.overwrite,
            append: None,
        })
        .await
    }

    async fn append(
        &mut self,
        object: &str,
        source: Box<dyn Read + Send>,
        size: u64,
        expected: u64,
        _: Option<&Target>,
    ) -> Result<()> {
        let bytes = read(source);
        assert_eq!(bytes.len() as u64, size);
        self.upload(Upload {
            object: object.to_owned(),
            bytes,
            over: false,
            append: Some(expected),
        })
        .await
    }

    async fn checksum(&mut self, object: &str) -> Result<String> {
        let name = object.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            let object = catalog.object(&name)?;
            if object.replica.status != ReplicaStatus::Good {
                return Err(codes::SYS_NO_GOOD_REPLICA);
            }
            let sum = STANDARD.encode(Sha256::digest(&object.content));
            object.replica.checksum = format!("sha2:{sum}");
            Ok(object.replica.checksum.clone())
        };
        self.call(api::DATA_OBJ_CHKSUM, object, effect).await
    }

    async fn add_avu(&mut self, _: Entity<'_>, _: &Avu) -> Result<()> {
        unreachable!("the source has neither links nor sockets")
    }

    async fn list_avus(&mut self, of: Entity<'_>) -> Result<Vec<Avu>> {
        let name = of.name().to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            // A query finds nothing of what is not there.
            let _ = catalog.object(&name);
            Ok(Vec::new())
        };
        self.call(api::GEN_QUERY, of.name(), effect).await
    }

    async fn list_values(
        &mut self,
        collection: &str,
        _: &str,
        _: &mut (dyn FnMut(Vec<(BString, String)>) -> ControlFlow<()> + Send),
    ) -> Result<()> {
        let nothing = |_: &mut Catalog, _| Ok(());
        self.call(api::GEN_QUERY, collection, nothing).await
    }

    async fn remove_avu(&mut self, _: Entity<'_>, _: &Avu) -> Result<bool> {
        unreachable!("nothing has any")
    }

    async fn set_avu(&mut self, _: Entity<'_>, _: &Avu) -> Result<()> {
        unreachable!("nothing is chosen")
    }

    async fn apply_access(&mut self, _: &str, _: &[Grant]) -> Result<()> {
        unreachable!("nothing is chosen")
    }

    async fn remove_data_object(&mut self, object: &str, _: Remove) -> Result<()> {
        let name = object.to_owned();
        let effect = move |catalog: &mut Catalog, _| {
            let status = catalog.object(&name)?.replica.status;
            if status == ReplicaStatus::Intermediate {
                return Err(codes::LOCKED_DATA_OBJECT_ACCESS);
            }
            catalog.objects.remove(&name);
            Ok(())
        };
        self.call(api::DATA_OBJ_UNLINK, object, effect).await
    }
}
