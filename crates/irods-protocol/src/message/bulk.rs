//! Bulk calls: tables of rows, sent as query results.

use super::{GenQueryOut, KeyValPair};
use crate::limits::MAX_NAME_LEN;
use crate::pack::pi;

pi! {
    /// Many small files in one message; their bytes are the byte stream.
    BulkOprInp "BulkOprInp_PI" {
        obj_path "objPath" (str MAX_NAME_LEN),
        attri_array "GenQueryOut_PI" (struct GenQueryOut),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }
}
