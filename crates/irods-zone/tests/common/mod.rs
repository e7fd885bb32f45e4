//! A peer that speaks raw frames, for driving a zone over its socket.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod tls;

use std::net::SocketAddr;
use std::path::Path;

use irods_protocol::auth::{framework::AuthMessage, native};
use irods_protocol::frame::{self, Frame, FrameDecoder};
use irods_protocol::header::kind;
use irods_protocol::limits::Limits;
use irods_protocol::message::*;
use irods_protocol::{Packing, Pi, api, keywords};
use irods_zone::{Zone, ZoneOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub const HOME: &str = "/tempZone/home/rods";

/// A zone in a directory of its own.
pub struct Fixture {
    pub dir: tempfile::TempDir,
    pub zone: Zone,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut ZoneOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = ZoneOptions::new(dir.path().join("zone"));
        change(&mut options);
        let zone = Zone::start(options).await.unwrap();
        Self { dir, zone }
    }

    pub fn zone_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("zone")
    }

    pub fn password(&self) -> String {
        password(&self.zone_dir())
    }

    /// The administrator, logged in.
    pub async fn rods(&self) -> Peer {
        Peer::login(self.zone.address(), "rods", &self.password()).await
    }

    /// Another user, made if needed, logged in.
    pub async fn user(&self, name: &str) -> Peer {
        let mut rods = self.rods().await;
        let secret = format!("{name}-secret");
        rods.admin(&["add", "user", name, "rodsuser"]).await;
        rods.admin(&["modify", "user", name, "password", &secret, "no-scramble"])
            .await;
        Peer::login(self.zone.address(), name, &secret).await
    }
}

pub fn password(zone_dir: &Path) -> String {
    std::fs::read_to_string(zone_dir.join("password"))
        .unwrap()
        .trim_end()
        .to_owned()
}

/// TCP, or TLS on it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// One connection.
pub struct Peer {
    pub stream: Box<dyn Duplex>,
    pub decoder: FrameDecoder,
    pub packing: Packing,
    /// What the zone announced.
    pub release: String,
}

/// A reply.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub frame: Frame,
    packing: Packing,
}

impl Answer {
    pub fn output<T: Pi>(&self) -> T {
        T::from_bytes(self.packing, &self.frame.message).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        let text: BinBytesBuf = self.output();
        let text: Vec<u8> = text.0.into_iter().filter(|&b| b != 0).collect();
        serde_json::from_slice(&text).unwrap()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code >= 0, "{:?}", self.frame);
        self
    }
}

impl Peer {
    pub async fn connect(address: SocketAddr, packing: Packing) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, packing)
    }

    pub fn over(stream: impl Duplex + 'static, packing: Packing) -> Self {
        Self {
            stream: Box::new(stream),
            decoder: FrameDecoder::new(Limits::SESSION),
            packing,
            release: String::new(),
        }
    }

    /// Start-up as `proxy` for `client`.
    pub async fn start(address: SocketAddr, packing: Packing, proxy: &str, client: &str) -> Self {
        let mut peer = Self::connect(address, packing).await;
        let pack = StartupPack {
            irods_prot: i32::from(packing == Packing::XML),
            proxy_user: proxy.into(),
            proxy_rcat_zone: "tempZone".into(),
            client_user: client.into(),
            client_rcat_zone: "tempZone".into(),
            rel_version: "rods5.0.2".into(),
            api_version: "d".into(),
            option: "test".into(),
            ..StartupPack::default()
        };
        peer.send(
            kind::CONNECT,
            0,
            &pack.to_bytes(Packing::STARTUP).unwrap(),
            b"",
        )
        .await;
        let frame = peer.receive().await.unwrap();
        assert_eq!(frame.kind, kind::VERSION);
        let version = Version::from_bytes(Packing::STARTUP, &frame.message).unwrap();
        assert_eq!(version.status, 0);
        peer.release = version.rel_version;
        peer
    }

    pub async fn login(address: SocketAddr, user: &str, password: &str) -> Self {
        Self::login_as(address, Packing::XML, user, password).await
    }

    pub async fn login_as(
        address: SocketAddr,
        packing: Packing,
        user: &str,
        password: &str,
    ) -> Self {
        let mut peer = Self::start(address, packing, user, user).await;
        assert_eq!(peer.authenticate(user, password).await, 0);
        peer
    }

    /// The JSON way.
    pub async fn authenticate(&mut self, user: &str, password: &str) -> i32 {
        let request = AuthMessage::native_request(user, "tempZone");
        let answer = self
            .json(api::AUTHENTICATION, &request.to_text())
            .await
            .ok();
        let text: BinBytesBuf = answer.output();
        let response = AuthMessage::parse(&text.0)
            .unwrap()
            .native_response(password)
            .unwrap();
        self.json(api::AUTHENTICATION, &response.to_text())
            .await
            .code
    }

    /// The old way.
    pub async fn authenticate_legacy(&mut self, user: &str, password: &str) -> i32 {
        let challenge: AuthRequestOut = self.bare(api::AUTH_REQUEST).await.ok().output();
        let response = native::response(&challenge.challenge, password).to_vec();
        let input = AuthResponseInp {
            response,
            username: Some(user.into()),
        };
        self.call(api::AUTH_RESPONSE, &input).await.code
    }

    pub async fn send(&mut self, kind: &str, number: i32, message: &[u8], bytes: &[u8]) {
        let mut out = frame::encode(kind, number, message, b"", bytes.len()).unwrap();
        out.extend_from_slice(bytes);
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next frame; none when the zone has closed.
    pub async fn receive(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            match self.stream.read_buf(self.decoder.space()).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub async fn answer(&mut self) -> Answer {
        let frame = self.receive().await.expect("the zone has closed");
        assert_eq!(frame.kind, kind::API_REPLY);
        Answer {
            code: frame.int_info,
            frame,
            packing: self.packing,
        }
    }

    pub async fn call(&mut self, number: i32, input: &impl Pi) -> Answer {
        self.stream_call(number, input, b"").await
    }

    pub async fn stream_call(&mut self, number: i32, input: &impl Pi, bytes: &[u8]) -> Answer {
        let message = input.to_bytes(self.packing).unwrap();
        self.send(kind::API_REQ, number, &message, bytes).await;
        self.answer().await
    }

    pub async fn bare(&mut self, number: i32) -> Answer {
        self.send(kind::API_REQ, number, b"", b"").await;
        self.answer().await
    }

    pub async fn json(&mut self, number: i32, text: &str) -> Answer {
        self.call(number, &BinBytesBuf(text.as_bytes().to_vec()))
            .await
    }

    #[track_caller]
    pub fn admin(&mut self, args: &[&str]) -> impl Future<Output = ()> {
        let arg = |n: usize| Some(args.get(n).copied().unwrap_or_default().to_owned());
        let input = GeneralAdminInp {
            arg0: arg(0),
            arg1: arg(1),
            arg2: arg(2),
            arg3: arg(3),
            arg4: arg(4),
            arg5: arg(5),
            arg6: arg(6),
            arg7: arg(7),
            arg8: arg(8),
            arg9: arg(9),
        };
        async move { drop(self.call(api::GENERAL_ADMIN, &input).await.ok()) }
    }

    pub async fn mkdir(&mut self, path: &str) -> i32 {
        let cond_input = KeyValPair::new().with(keywords::RECURSIVE_OPR, "");
        let input = CollInpNew {
            coll_name: path.into(),
            cond_input,
            ..CollInpNew::default()
        };
        self.call(api::COLL_CREATE, &input).await.code
    }

    pub async fn put(&mut self, path: &str, bytes: &[u8]) -> i32 {
        self.put_with(path, bytes, KeyValPair::new()).await
    }

    pub async fn put_with(&mut self, path: &str, bytes: &[u8], wishes: KeyValPair) -> i32 {
        let mut input = object(path);
        input.data_size = bytes.len() as i64;
        input.cond_input = wishes.with(keywords::DATA_INCLUDED, "");
        self.stream_call(api::DATA_OBJ_PUT, &input, bytes)
            .await
            .code
    }

    pub async fn get(&mut self, path: &str) -> Result<Vec<u8>, i32> {
        let answer = self.call(api::DATA_OBJ_GET, &object(path)).await;
        if answer.code < 0 {
            Err(answer.code)
        } else {
            Ok(answer.frame.bytes.to_vec())
        }
    }

    pub async fn open(&mut self, path: &str, flags: i32, wishes: KeyValPair) -> i32 {
        let input = DataObjInp {
            open_flags: flags,
            data_size: -1,
            cond_input: wishes,
            ..object(path)
        };
        self.call(api::DATA_OBJ_OPEN, &input).await.code
    }

    pub async fn write(&mut self, fd: i32, bytes: &[u8]) -> i32 {
        self.stream_call(api::DATA_OBJ_WRITE, &opened(fd, bytes.len()), bytes)
            .await
            .code
    }

    /// A write as it is sent, to be sent in parts.
    pub fn write_message(&self, fd: i32, bytes: &[u8]) -> Vec<u8> {
        let input = opened(fd, bytes.len()).to_bytes(self.packing).unwrap();
        let number = api::DATA_OBJ_WRITE;
        let mut out = frame::encode(kind::API_REQ, number, &input, b"", bytes.len()).unwrap();
        out.extend_from_slice(bytes);
        out
    }

    pub async fn read(&mut self, fd: i32, len: i32) -> Vec<u8> {
        let input = opened(fd, len as usize);
        let answer = self.call(api::DATA_OBJ_READ, &input).await.ok();
        assert_eq!(answer.code as usize, answer.frame.bytes.len());
        answer.frame.bytes.to_vec()
    }

    pub async fn seek(&mut self, fd: i32, offset: i64, whence: i32) -> i64 {
        let input = OpenedDataObjInp {
            l1desc_inx: fd,
            offset,
            whence,
            ..OpenedDataObjInp::default()
        };
        self.call(api::DATA_OBJ_LSEEK, &input)
            .await
            .ok()
            .output::<FileLseekOut>()
            .offset
    }

    pub async fn close(&mut self, fd: i32) -> i32 {
        let input = OpenedDataObjInp {
            l1desc_inx: fd,
            ..OpenedDataObjInp::default()
        };
        self.call(api::DATA_OBJ_CLOSE, &input).await.code
    }

    pub async fn stat(&mut self, path: &str) -> Result<RodsObjStat, i32> {
        let answer = self.call(api::OBJ_STAT, &object(path)).await;
        if answer.code < 0 {
            Err(answer.code)
        } else {
            Ok(answer.output())
        }
    }

    pub async fn unlink(&mut self, path: &str, wishes: KeyValPair) -> i32 {
        let input = DataObjInp {
            cond_input: wishes,
            ..object(path)
        };
        self.call(api::DATA_OBJ_UNLINK, &input).await.code
    }

    pub async fn rename(&mut self, from: &str, to: &str) -> i32 {
        let input = DataObjCopyInp {
            source: object(from),
            destination: object(to),
        };
        self.call(api::DATA_OBJ_RENAME, &input).await.code
    }

    pub async fn register(&mut self, path: &str, file: &Path, wishes: KeyValPair) -> i32 {
        let cond_input = wishes.with(keywords::FILE_PATH, file.to_str().unwrap());
        self.call(
            api::PHY_PATH_REG,
            &DataObjInp {
                cond_input,
                ..object(path)
            },
        )
        .await
        .code
    }

    /// Values of columns, a row after the other.
    pub async fn query(&mut self, columns: &[i32], conditions: &[(i32, &str)]) -> Vec<Vec<String>> {
        let input = GenQueryInp {
            max_rows: 1000,
            selects: InxIvalPair(columns.iter().map(|&c| (c, 1)).collect()),
            conditions: InxValPair(conditions.iter().map(|&(c, t)| (c, t.to_owned())).collect()),
            ..GenQueryInp::default()
        };
        let answer = self.call(api::GEN_QUERY, &input).await;
        if answer.code == -808_000 {
            return Vec::new();
        }
        let page: GenQueryOut = answer.ok().output();
        (0..page.row_cnt as usize)
            .map(|row| {
                page.columns
                    .iter()
                    .map(|c| c.values[row].to_string())
                    .collect()
            })
            .collect()
    }

    /// Replica states of an object by number.
    pub async fn states(&mut self, path: &str) -> Vec<(String, String)> {
        let (collection, name) = path.rsplit_once('/').unwrap();
        let conditions = [
            (501, format!("= '{collection}'")),
            (403, format!("= '{name}'")),
        ];
        let conditions: Vec<(i32, &str)> =
            conditions.iter().map(|(c, t)| (*c, t.as_str())).collect();
        let mut rows = self.query(&[404, 413], &conditions).await;
        rows.sort();
        rows.into_iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect()
    }
}

/// So many bytes of an open replica.
pub fn opened(fd: i32, len: usize) -> OpenedDataObjInp {
    OpenedDataObjInp {
        l1desc_inx: fd,
        len: len as i32,
        ..OpenedDataObjInp::default()
    }
}

pub fn object(path: &str) -> DataObjInp {
    DataObjInp {
        obj_path: path.into(),
        ..DataObjInp::default()
    }
}

pub fn wish(keyword: &str, value: &str) -> KeyValPair {
    KeyValPair::new().with(keyword, value)
}
