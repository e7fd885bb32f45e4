//! Access control.

use crate::pack::pi;

pi! {
    /// Grants one access level on one path.
    ModAccessControlInp "modAccessControlInp_PI" {
        recursive_flag "recursiveFlag" (int),
        access_level "accessLevel" (strptr),
        user_name "userName" (strptr),
        zone "zone" (strptr),
        path "path" (strptr),
    }
}
