//! Administration, tickets.

use super::KeyValPair;
use crate::pack::pi;

pi! {
    /// `arg0` verb, `arg1` noun, then what they take; unused ones are empty.
    GeneralAdminInp "generalAdminInp_PI" {
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
    }

    /// What users and group administrators may do by themselves.
    UserAdminInp "userAdminInp_PI" {
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
    }

    /// Tickets.
    TicketAdminInp "ticketAdminInp_PI" {
        arg1 "arg1" (strptr),
        arg2 "arg2" (strptr),
        arg3 "arg3" (strptr),
        arg4 "arg4" (strptr),
        arg5 "arg5" (strptr),
        arg6 "arg6" (strptr),
        cond_input "KeyValPair_PI" (struct KeyValPair),
    }

    /// Transactions by hand: `arg0` is `commit` or `rollback`.
    EndTransactionInp "endTransactionInp_PI" {
        arg0 "arg0" (strptr),
        arg1 "arg1" (strptr),
    }
}
