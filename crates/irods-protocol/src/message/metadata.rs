//! AVUs.

use super::KeyValPair;
use crate::pack::pi;

pi! {
    /// `arg0` operation, `arg1` kind of entity, `arg2` its name, then attribute, value, units and what the operation takes.
    ModAvuMetadataInp "ModAVUMetadataInp_PI" {
        arg0 "arg0" (strptr),
        arg1 "arg1" (strptr),
        arg2 "arg2" (strptr),
        arg3 "arg3" (strptr),
        arg4 "arg4" (strptr),
        arg5 "arg5" (strptr),
        arg6 "arg6" (strptr),
        arg7 "arg7" (strptr),
        arg8 "arg8" (strptr),
        arg9 "arg9" (strptr),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }
}
