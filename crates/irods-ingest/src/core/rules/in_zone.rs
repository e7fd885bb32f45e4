//! What rules name must be in the zone: asked before anything is queued.

use irods_client::Connection;
use irods_client::connection::Identity;

use super::{RuleError, Rules};
use crate::sync_task::job::StartError;

impl Rules {
    /// Looks for every resource, user and group that is named.
    ///
    /// # Errors
    /// The first that is missing, or is of another kind; or a user that may not act for others.
    pub(crate) async fn check_in_zone(&self, zone: &mut Connection) -> Result<(), StartError> {
        for (resource, line) in self.resources() {
            if zone.resource(resource).await?.is_none() {
                return Err(self
                    .error(line, format!("resource {resource} does not exist"))
                    .into());
            }
        }
        let acting = self.acting(zone.identity());
        for grant in self.grants() {
            let of_zone = match grant.zone.as_str() {
                "" => zone.identity().zone.as_str(),
                of_zone => of_zone,
            };
            let is_acting =
                !grant.group && (grant.who.as_str(), of_zone) == (&acting.user, &acting.zone);
            if is_acting && grant.level != OWN {
                let message = format!(
                    "level {} would take from {}, as whom the job acts, the right to keep what it makes in step: leave it out, or give \
                     it {OWN}",
                    grant.level, grant.who
                );
                return Err(self.error(grant.line, message).into());
            }
            let found = find(zone, &grant.who, &grant.zone).await?;
            let is_group = found.as_ref().map(|kind| kind == GROUP);
            let wrong = match (is_group, grant.group) {
                (None, true) => "group {} does not exist",
                (None, false) => "user {} does not exist",
                (Some(true), false) => "{} is a group",
                (Some(false), true) => "{} is a user",
                _ => continue,
            };
            return Err(self
                .error(grant.line, wrong.replace("{}", &grant.who))
                .into());
        }
        match self.user() {
            Some((name, of_zone)) => self.check_user(zone, name, of_zone).await,
            None => Ok(()),
        }
    }

    /// As whom entries are applied.
    fn acting(&self, own: &Identity) -> Identity {
        match self.user() {
            None => own.clone(),
            Some((user, zone)) => Identity {
                user: user.to_owned(),
                zone: match zone {
                    "" => own.zone.clone(),
                    zone => zone.to_owned(),
                },
            },
        }
    }

    async fn check_user(
        &self,
        zone: &mut Connection,
        name: &str,
        of_zone: &str,
    ) -> Result<(), StartError> {
        let wrong = |message: String| Err(RuleError::in_no_file(message).into());
        let who = zone.identity().clone();
        match find(zone, name, of_zone).await? {
            None => return wrong(format!("user {name} of --as_user does not exist")),
            Some(kind) if kind == GROUP => return wrong(format!("{name} of --as_user is a group")),
            Some(_) => {}
        }
        match find(zone, &who.user, &who.zone).await? {
            Some(kind) if kind != ADMIN => wrong(format!(
                "{} is no {ADMIN}, so it cannot act as {name}",
                who.user
            )),
            _ => Ok(()),
        }
    }
}

/// The level of who may do anything.
const OWN: &str = "own";

/// Kinds of users.
const GROUP: &str = "rodsgroup";
const ADMIN: &str = "rodsadmin";

/// The kind of a user or group; an empty zone is that of the connection.
async fn find(
    zone: &mut Connection,
    name: &str,
    of_zone: &str,
) -> Result<Option<String>, irods_client::Error> {
    let of_zone = match of_zone {
        "" => zone.identity().zone.clone(),
        of_zone => of_zone.to_owned(),
    };
    Ok(zone.user(name, &of_zone).await?.map(|user| user.kind))
}
