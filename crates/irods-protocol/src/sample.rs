//! Random values of every structure, and the proof that they survive both packings.
//!
//! [`Sample`] follows from the same list of fields as the packing does, so a structure cannot be
//! left out by forgetting a field of it. Test code only.

use bstr::BString;
use proptest::prelude::*;

use crate::limits::{CHALLENGE_LEN, RESPONSE_LEN, TIME_LEN};
use crate::message::*;
use crate::{Packing, Pi};

/// A value made of randomness.
pub(crate) trait Sample: Sized {
    /// Takes what it needs of the source.
    fn sample(source: &mut Source) -> Self;
}

/// A deterministic source of field values, which favours what is awkward.
pub(crate) struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % bound.max(1)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn int(&mut self) -> i32 {
        let any = self.next() as i32;
        self.pick(&[0, 1, -1, i32::MAX, i32::MIN, any])
    }

    pub(crate) fn double(&mut self) -> i64 {
        let any = self.next() as i64;
        self.pick(&[0, 1, -1, i64::MAX, i64::MIN, any])
    }

    /// A text of fewer bytes than the capacity, now and then of just one fewer.
    pub(crate) fn text(&mut self, capacity: usize) -> String {
        let room = capacity - 1;
        let length = match self.below(8) {
            0 => 0,
            1 if room < 2000 => return "x".repeat(room),
            _ => self.below(room.min(30)),
        };
        let mut text = String::new();
        let awkward = [
            '&', '<', '>', '"', '\'', '`', ';', ' ', '\n', '\r', '\u{1}', 'ö', '漢', 'a', '/', ']',
            '%',
        ];
        while text.len() < length {
            let character = self.pick(&awkward);
            if text.len() + character.len_utf8() > room {
                break;
            }
            text.push(character);
        }
        text
    }

    pub(crate) fn optional<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) > 0).then(|| value(self))
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn list<T>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(5)).map(|_| value(self)).collect()
    }
}

macro_rules! pi_sample {
    ($s:ident, int) => {
        $s.int()
    };
    ($s:ident, intptr) => {
        $s.optional($crate::sample::Source::int)
    };
    ($s:ident, double) => {
        $s.double()
    };
    ($s:ident, str $cap:expr) => {
        $s.text($cap)
    };
    ($s:ident, strptr) => {
        $s.optional(|source| source.text(100))
    };
    ($s:ident, struct $ty:ty) => {
        <$ty as $crate::sample::Sample>::sample($s)
    };
    ($s:ident, structptr $ty:ty) => {
        $s.optional(<$ty as $crate::sample::Sample>::sample)
    };
}
pub(crate) use pi_sample;

impl Sample for KeyValPair {
    fn sample(source: &mut Source) -> Self {
        KeyValPair(source.list(|s| (s.text(30), s.text(100))))
    }
}

impl Sample for InxIvalPair {
    fn sample(source: &mut Source) -> Self {
        InxIvalPair(source.list(|s| (s.int(), s.int())))
    }
}

impl Sample for InxValPair {
    fn sample(source: &mut Source) -> Self {
        InxValPair(source.list(|s| (s.int(), s.text(100))))
    }
}

impl Sample for BinBytesBuf {
    fn sample(source: &mut Source) -> Self {
        let length = source.below(100);
        BinBytesBuf(source.bytes(length))
    }
}

impl Sample for BytesBuf {
    fn sample(source: &mut Source) -> Self {
        // Bytes that look like tags are told from the end tag by the length alone.
        let mut content = source.text(100).into_bytes();
        content.extend_from_slice(source.pick(&[
            &b""[..],
            b"</buf>",
            b"</buf></BytesBuf_PI>",
            b"\0",
        ]));
        BytesBuf(content)
    }
}

impl Sample for RError {
    fn sample(source: &mut Source) -> Self {
        RError(source.list(RErrMsg::sample))
    }
}

impl Sample for GenQueryOut {
    fn sample(source: &mut Source) -> Self {
        let rows = source.below(4);
        let columns = source.list(|s| SqlResult {
            attri_inx: s.int(),
            reslen: s.int(),
            values: (0..rows).map(|_| cell(s)).collect(),
        });
        GenQueryOut {
            row_cnt: i32::try_from(rows).unwrap_or_default(),
            continue_inx: source.int(),
            total_row_count: source.int(),
            columns,
        }
    }
}

/// A value of a catalog column, which need not be UTF-8.
fn cell(source: &mut Source) -> BString {
    let mut text = source.text(60).into_bytes();
    if source.below(3) == 0 {
        text.extend_from_slice(&[0xff, 0xfe]);
    }
    text.into()
}

impl Sample for AuthRequestOut {
    fn sample(source: &mut Source) -> Self {
        AuthRequestOut {
            challenge: source.bytes(CHALLENGE_LEN),
        }
    }
}

impl Sample for AuthResponseInp {
    fn sample(source: &mut Source) -> Self {
        AuthResponseInp {
            response: source.bytes(RESPONSE_LEN),
            username: source.optional(|s| s.text(64)),
        }
    }
}

fn comes_back<T: Sample + Pi + PartialEq + std::fmt::Debug>(seed: u64, packing: Packing) {
    compare(T::sample(&mut Source(seed)), packing);
}

fn compare<T: Pi + PartialEq + std::fmt::Debug>(value: T, packing: Packing) {
    let bytes = value.to_bytes(packing);
    let again = bytes.as_ref().map(|bytes| T::from_bytes(packing, bytes));
    assert_eq!(
        again,
        Ok(Ok(value)),
        "{} in {packing:?}: {:?}",
        T::NAME,
        bytes.clone().map(BString::from)
    );
}

/// A replica's row has one field more from 5.0 on; what an older peer does not carry is empty.
fn data_obj_info(seed: u64, packing: Packing) {
    let mut source = Source(seed);
    let mut info = DataObjInfo::sample(&mut source);
    info.data_access_time = if packing.access_time {
        source.text(TIME_LEN)
    } else {
        String::new()
    };
    compare(
        ModDataObjMeta {
            data_obj_info: Some(info),
            reg_param: None,
        },
        packing,
    );
}

macro_rules! each {
    ($seed:expr, $packing:expr; $($name:ident),+ $(,)?) => { $( comes_back::<$name>($seed, $packing); )+ };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_structure_survives_every_packing(seed: u64) {
        let old = Packing { apos_is_apostrophe: false, access_time: false, ..Packing::XML };
        let old_native = Packing { access_time: false, ..Packing::NATIVE };
        for packing in [Packing::XML, Packing::NATIVE, Packing::STARTUP, old, old_native] {
            each!(seed, packing;
                AuthPlugReqInp, AuthPlugReqOut, AuthRequestOut, AuthResponseInp, BinBytesBuf,
                BulkOprInp, BytesBuf, CollEnt, CollInpNew, CollOprStat, CsNeg, DataObjCopyInp,
                DataObjInp, EndTransactionInp, FileLseekOut, GenQuery2Inp, GenQueryInp, GenQueryOut,
                GeneralAdminInp, GetHierFromLeafIdInp, GetHierarchyForRescInp,
                GetHierarchyForRescOut, GetLimitedPasswordInp, GetLimitedPasswordOut,
                GetTempPasswordForOtherInp, GetTempPasswordForOtherOut, GetTempPasswordOut, IntPi,
                InxIvalPair, InxValPair, KeyValPair, MiscSvrInfo, MiscSvrInfoBase,
                ModAccessControlInp, ModAvuMetadataInp, ModDataObjMeta, OpenStat, OpenedDataObjInp,
                PamAuthRequestInp, PamAuthRequestOut, PortList, PortalOprOut, ProcStatInp, RErrMsg,
                RError, RegReplica, RodsObjStat, SpecColl, SpecificQueryInp, SslInp, StartupPack,
                StrPi, SwitchUserInp, TicketAdminInp, TransferStat, UnregDataObj, UserAdminInp,
                Version,
            );
            data_obj_info(seed, packing);
        }
    }
}
