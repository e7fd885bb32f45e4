//! Rules of the two wire forms that a recording shows by chance at most (server source 4.2 to 5.0).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use irods_protocol::error::{PackError, UnpackError};
use irods_protocol::message::*;
use irods_protocol::native::NULL_MARKER;
use irods_protocol::{Packing, Pi};

const OLD_XML: Packing = Packing {
    apos_is_apostrophe: false,
    access_time: false,
    ..Packing::XML
};
const OLD_NATIVE: Packing = Packing {
    access_time: false,
    ..Packing::NATIVE
};

fn xml<T: Pi>(text: &str) -> Result<T, UnpackError> {
    T::from_bytes(Packing::XML, text.as_bytes())
}

#[test]
fn numbers_that_are_missing_are_zero() {
    let input: CollInpNew = xml(
        "<CollInpNew_PI><collName>/z/a</collName><KeyValPair_PI><ssLen>1</ssLen>\
         <keyWord>recursiveOpr</keyWord><svalue></svalue></KeyValPair_PI></CollInpNew_PI>",
    )
    .unwrap();
    assert_eq!(input.coll_name, "/z/a");
    assert_eq!((input.flags, input.opr_type), (0, 0));
    assert!(input.cond_input.has("recursiveOpr"));
}

#[test]
fn texts_and_structures_that_are_missing_are_errors_unless_they_are_pointers() {
    let missing = xml::<CollInpNew>("<CollInpNew_PI><flags>1</flags></CollInpNew_PI>");
    assert_eq!(missing, Err(UnpackError::Missing { field: "collName" }));
    let missing = xml::<CollInpNew>("<CollInpNew_PI><collName>a</collName></CollInpNew_PI>");
    assert_eq!(
        missing,
        Err(UnpackError::Missing {
            field: "KeyValPair_PI"
        })
    );
    let empty: GetTempPasswordForOtherInp =
        xml("<getTempPasswordForOtherInp_PI></getTempPasswordForOtherInp_PI>").unwrap();
    assert_eq!((empty.target_user, empty.unused), (None, None));
}

#[test]
fn only_the_first_element_of_an_array_decides_whether_it_is_null() {
    let pairs = |body: &str| xml::<KeyValPair>(&format!("<KeyValPair_PI>{body}</KeyValPair_PI>"));
    assert_eq!(pairs("<ssLen>0</ssLen>"), Ok(KeyValPair::new()));
    assert_eq!(pairs("<ssLen>2</ssLen>"), Ok(KeyValPair::new()));
    assert!(pairs("<ssLen>2</ssLen><keyWord>a</keyWord><svalue>b</svalue>").is_err());
    assert!(pairs("<ssLen>1</ssLen><keyWord>a</keyWord>").is_err());
}

#[test]
fn line_ends_between_elements_and_fields_behind_the_last_are_ignored() {
    let text = "\n <INT_PI>\r\n\t<myInt>-7</myInt>\n<later>x</later>\n</INT_PI>\nrest\0";
    assert_eq!(xml::<IntPi>(text).unwrap().my_int, -7);
}

#[test]
fn a_field_of_a_later_release_may_be_missing() {
    let info = DataObjInfo {
        obj_path: "/z/a".to_owned(),
        ..DataObjInfo::default()
    };
    let old = info.to_bytes(OLD_XML).unwrap();
    assert_eq!(
        DataObjInfo::from_bytes(Packing::XML, &old),
        Ok(info.clone())
    );
    // The other way round, the field of the later release is behind the last.
    let new = info.to_bytes(Packing::XML).unwrap();
    assert_eq!(DataObjInfo::from_bytes(OLD_XML, &new), Ok(info.clone()));
    // In native form the peer's release must be known: there is one byte more.
    let bytes = |packing| info.to_bytes(packing).unwrap().len();
    assert_eq!(bytes(Packing::NATIVE), bytes(OLD_NATIVE) + 1);
    assert!(DataObjInfo::from_bytes(Packing::NATIVE, &info.to_bytes(OLD_NATIVE).unwrap()).is_err());
}

#[test]
fn apostrophes_depend_on_the_peer() {
    let packed = |text: &str, packing| {
        let value = StrPi {
            my_str: Some(text.to_owned()),
        };
        String::from_utf8(value.to_bytes(packing).unwrap()).unwrap()
    };
    let text = "it's `a` <b> & \"c\"";
    assert_eq!(
        packed(text, Packing::XML),
        "<STR_PI>\n<myStr>it&apos;s `a` &lt;b&gt; &amp; &quot;c&quot;</myStr>\n</STR_PI>\n"
    );
    assert_eq!(
        packed(text, OLD_XML),
        "<STR_PI>\n<myStr>it's &apos;a&apos; &lt;b&gt; &amp; &quot;c&quot;</myStr>\n</STR_PI>\n"
    );
    let read = |packing| {
        StrPi::from_bytes(packing, b"<STR_PI><myStr>&apos;</myStr></STR_PI>")
            .unwrap()
            .my_str
    };
    assert_eq!(read(Packing::XML).as_deref(), Some("'"));
    assert_eq!(read(OLD_XML).as_deref(), Some("`"));
    assert_eq!(read(Packing::STARTUP).as_deref(), Some("`"));
}

#[test]
fn from_an_unknown_entity_on_text_is_taken_as_it_stands() {
    let text: StrPi = xml("<STR_PI><myStr>&lt;&#39;&lt;</myStr></STR_PI>").unwrap();
    assert_eq!(text.my_str.as_deref(), Some("<&#39;&lt;"));
}

#[test]
fn numbers_out_of_range_are_errors() {
    let int = |text: &str| xml::<IntPi>(&format!("<INT_PI><myInt>{text}</myInt></INT_PI>"));
    assert_eq!(int(" 12 ").unwrap().my_int, 12);
    assert_eq!(int("").unwrap().my_int, 0);
    for bad in ["2147483648", "1.5", "0x10", "a", "9999999999999999999999"] {
        assert_eq!(
            int(bad),
            Err(UnpackError::NotANumber { field: "myInt" }),
            "{bad}"
        );
    }
}

#[test]
fn native_form_is_bare() {
    let one = KeyValPair::new().with("a", "1");
    assert_eq!(
        one.to_bytes(Packing::NATIVE).unwrap(),
        b"\0\0\0\x01a\x001\0"
    );
    let none = KeyValPair::new().to_bytes(Packing::NATIVE).unwrap();
    assert_eq!(none, [b"\0\0\0\0", NULL_MARKER, NULL_MARKER].concat());
    // An array without elements that is not null leaves no trace.
    assert_eq!(
        KeyValPair::from_bytes(Packing::NATIVE, b"\0\0\0\0"),
        Ok(KeyValPair::new())
    );
}

#[test]
fn what_a_peer_would_misread_is_not_packed() {
    let marker = "%@#ANULLSTR$%".to_owned();
    let text = StrPi {
        my_str: Some(marker.clone()),
    };
    assert!(text.to_bytes(Packing::XML).is_ok());
    assert_eq!(
        text.to_bytes(Packing::NATIVE),
        Err(PackError::NullMarker { field: "myStr" })
    );
    let pairs = KeyValPair::new().with(&marker, "");
    assert!(pairs.to_bytes(Packing::NATIVE).is_err());

    let nul = StrPi {
        my_str: Some("a\0b".to_owned()),
    };
    assert_eq!(
        nul.to_bytes(Packing::XML),
        Err(PackError::Nul { field: "myStr" })
    );

    let challenge = AuthRequestOut {
        challenge: vec![b'0'; 63],
    };
    let refused = PackError::Count {
        field: "challenge",
        expected: 64,
        len: 63,
    };
    assert_eq!(challenge.to_bytes(Packing::XML), Err(refused));

    let column = SqlResult {
        attri_inx: 501,
        reslen: 10,
        values: vec!["a".into(), "b".into()],
    };
    let uneven = GenQueryOut {
        row_cnt: 1,
        columns: vec![column],
        ..GenQueryOut::default()
    };
    let refused = PackError::Count {
        field: "value",
        expected: 1,
        len: 2,
    };
    assert_eq!(uneven.to_bytes(Packing::NATIVE), Err(refused));
}

#[test]
fn texts_have_the_capacity_of_their_field() {
    let input = |len: usize| DataObjInp {
        obj_path: "x".repeat(len),
        ..DataObjInp::default()
    };
    let refused = PackError::TooLong {
        field: "objPath",
        max: 1087,
        len: 1088,
    };
    assert_eq!(input(1088).to_bytes(Packing::XML), Err(refused));
    let longest = input(1087).to_bytes(Packing::NATIVE).unwrap();
    assert_eq!(
        DataObjInp::from_bytes(Packing::NATIVE, &longest),
        Ok(input(1087))
    );
    let longer = [b"x", longest.as_slice()].concat();
    let error = DataObjInp::from_bytes(Packing::NATIVE, &longer).unwrap_err();
    assert_eq!(
        error,
        UnpackError::TooLong {
            field: "objPath",
            max: 1087
        }
    );
    assert_eq!(
        error.code(),
        irods_protocol::codes::USER_PACKSTRUCT_INPUT_ERR
    );
}
