//! Connecting and logging in.

use crate::error::{PackError, UnpackError};
use crate::limits::{
    CHALLENGE_LEN, LONG_NAME_LEN, MAX_NAME_LEN, MAX_PASSWORD_LEN, NAME_LEN, RESPONSE_LEN,
};
use crate::pack::{Packer, Pi, Unpacker, pi};

pi! {
    /// First message of a client; always XML.
    StartupPack "StartupPack_PI" {
        irods_prot "irodsProt" (int),
        reconn_flag "reconnFlag" (int),
        connect_cnt "connectCnt" (int),
        proxy_user "proxyUser" (str NAME_LEN),
        proxy_rcat_zone "proxyRcatZone" (str NAME_LEN),
        client_user "clientUser" (str NAME_LEN),
        client_rcat_zone "clientRcatZone" (str NAME_LEN),
        rel_version "relVersion" (str NAME_LEN),
        api_version "apiVersion" (str NAME_LEN),
        option "option" (str LONG_NAME_LEN),
    }

    /// The server's answer to the start-up pack; always XML.
    Version "Version_PI" {
        status "status" (int),
        rel_version "relVersion" (str NAME_LEN),
        api_version "apiVersion" (str NAME_LEN),
        reconn_port "reconnPort" (int),
        reconn_addr "reconnAddr" (str LONG_NAME_LEN),
        cookie "cookie" (int),
    }

    /// Client-server negotiation; always XML.
    CsNeg "CS_NEG_PI" {
        status "status" (int),
        result "result" (str MAX_NAME_LEN),
    }

    /// Legacy PAM login, request of API 1201.
    AuthPlugReqInp "authPlugReqInp_PI" {
        auth_scheme "auth_scheme_" (str MAX_NAME_LEN),
        context "context_" (str MAX_NAME_LEN),
    }

    /// Legacy PAM login, reply of API 1201: the generated password.
    AuthPlugReqOut "authPlugReqOut_PI" {
        result "result_" (str MAX_NAME_LEN),
    }

    /// Legacy PAM login, request of API 725.
    PamAuthRequestInp "pamAuthRequestInp_PI" {
        pam_user "pamUser" (strptr),
        pam_password "pamPassword" (strptr),
        time_to_live "timeToLive" (int),
    }

    /// Legacy PAM login, reply of API 725.
    PamAuthRequestOut "pamAuthRequestOut_PI" {
        irods_pam_password "irodsPamPassword" (strptr),
    }

    /// What a temporary password is derived from.
    GetTempPasswordOut "getTempPasswordOut_PI" {
        string_to_hash_with "stringToHashWith" (str MAX_PASSWORD_LEN),
    }

    /// Temporary password for somebody else, API 724.
    GetTempPasswordForOtherInp "getTempPasswordForOtherInp_PI" {
        target_user "targetUser" (strptr),
        unused "unused" (strptr),
    }

    /// Text to hash with the administrator's own password.
    GetTempPasswordForOtherOut "getTempPasswordForOtherOut_PI" {
        string_to_hash_with "stringToHashWith" (str MAX_PASSWORD_LEN),
    }

    /// Password that expires, API 726. `ttl` is in hours.
    GetLimitedPasswordInp "getLimitedPasswordInp_PI" {
        ttl "ttl" (int),
        unused1 "unused1" (strptr),
    }

    /// Reply of API 726.
    GetLimitedPasswordOut "getLimitedPasswordOut_PI" {
        string_to_hash_with "stringToHashWith" (str MAX_PASSWORD_LEN),
    }

    /// Acting as another user on the same connection, API 20012.
    SwitchUserInp "SwitchUserInp_PI" {
        username "username" (str NAME_LEN),
        zone "zone" (str NAME_LEN),
        cond_input "KeyValPair_PI" (struct super::KeyValPair),
    }
}

/// `authRequestOut_PI`: the challenge of API 703, 64 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthRequestOut {
    /// The challenge.
    pub challenge: Vec<u8>,
}

impl Pi for AuthRequestOut {
    const NAME: &'static str = "authRequestOut_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.fixed_binary("challenge", CHALLENGE_LEN, &self.challenge)
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            Ok(AuthRequestOut {
                challenge: u.fixed_binary("challenge", CHALLENGE_LEN)?,
            })
        })
    }
}

/// `authResponseInp_PI`: the response of API 704, 16 bytes, and who answers (`user` or `user#zone`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthResponseInp {
    /// The response.
    pub response: Vec<u8>,
    /// User, with or without zone.
    pub username: Option<String>,
}

impl Pi for AuthResponseInp {
    const NAME: &'static str = "authResponseInp_PI";

    fn pack(&self, packer: &mut Packer) -> Result<(), PackError> {
        packer.begin(Self::NAME, |p| {
            p.fixed_binary("response", RESPONSE_LEN, &self.response)?;
            p.text_ptr("username", self.username.as_deref())
        })
    }

    fn unpack(unpacker: &mut Unpacker<'_>) -> Result<Self, UnpackError> {
        unpacker.begin(Self::NAME, |u| {
            Ok(AuthResponseInp {
                response: u.fixed_binary("response", RESPONSE_LEN)?,
                username: u.text_ptr("username")?,
            })
        })
    }
}
