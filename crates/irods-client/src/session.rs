//! As whom a connection asks: another user, a ticket, a password for a short time.

use irods_protocol::api;
use irods_protocol::auth::temporary;
use irods_protocol::message::{
    GetTempPasswordForOtherInp, GetTempPasswordForOtherOut, GetTempPasswordOut, IntPi, KeyValPair,
    SwitchUserInp, TicketAdminInp,
};

use crate::connection::{Connection, Identity, Request};
use crate::environment::Password;
use crate::error::Result;

impl Connection {
    /// From here on acts for another user, without a new login (call 20012; the user who logged in must be a `rodsadmin`, and
    /// stays it). For servers without the call there is [`crate::Environment::acting_for`];
    /// [`crate::Pool::get_acting_for`] chooses.
    ///
    /// # Errors
    /// `CAT_INVALID_USER`, after which the connection acts as before (recorded exchange raw_switch_user);
    /// `SYS_PROXYUSER_NO_PRIV`; servers before 4.3.1 lack the call.
    pub async fn switch_user(&mut self, user: &str, zone: &str) -> Result<()> {
        // They are the former user's.
        self.close_cursors().await?;
        let input = SwitchUserInp {
            username: user.to_owned(),
            zone: zone.to_owned(),
            cond_input: KeyValPair::new(),
        };
        let request = Request::new(api::SWITCH_USER, user);
        self.call(request, Some(&input)).await?;
        self.identity = Identity {
            user: user.to_owned(),
            zone: zone.to_owned(),
        };
        Ok(())
    }

    /// From here on uses a ticket where it permits what the user may not. The server does not look at it now: a wrong one
    /// shows in later calls (recorded exchange prc_tickets). A pool does not hand out the connection again.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn use_ticket(&mut self, ticket: &str) -> Result<()> {
        let empty = || Some(String::new());
        let input = TicketAdminInp {
            arg1: Some("session".to_owned()),
            arg2: Some(ticket.to_owned()),
            arg3: empty(),
            arg4: empty(),
            arg5: empty(),
            arg6: empty(),
            cond_input: KeyValPair::new(),
        };
        // A ticket is as good as a password: it is not the subject of errors.
        let request = Request::new(api::TICKET_ADMIN, "");
        self.call(request, Some(&input)).await?;
        self.has_ticket = true;
        Ok(())
    }

    /// A password for one login of this user, good for a short time (120 s unless the server is set otherwise).
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn temporary_password(&mut self) -> Result<Password> {
        let request = Request::new(api::GET_TEMP_PASSWORD, "");
        let output: GetTempPasswordOut = self.ask(request, None::<&IntPi>).await?;
        Ok(self.temporary(&output.string_to_hash_with))
    }

    /// The same for another user, asked for by a `rodsadmin`.
    ///
    /// # Errors
    /// `SYS_NO_API_PRIV` for others; `CAT_INVALID_USER`.
    pub async fn temporary_password_for(&mut self, user: &str) -> Result<Password> {
        let input = GetTempPasswordForOtherInp {
            target_user: Some(user.to_owned()),
            unused: Some(String::new()),
        };
        let request = Request::new(api::GET_TEMP_PASSWORD_FOR_OTHER, user);
        let output: GetTempPasswordForOtherOut = self.ask(request, Some(&input)).await?;
        Ok(self.temporary(&output.string_to_hash_with))
    }

    fn temporary(&self, text: &str) -> Password {
        Password::native(temporary::password(text, self.password.reveal()))
    }
}
