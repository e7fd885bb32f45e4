//! `TICKET_ADMIN`: making, changing, removing and supplying tickets.

use std::net::{IpAddr, ToSocketAddrs};

use irods_protocol::codes;
use irods_protocol::message::TicketAdminInp;

use super::blocking;
use crate::catalog::tickets::{self, Change, Restriction};
use crate::reply::{Answer, Failure, Reply, Request};
use crate::session::Session;

/// `TICKET_ADMIN`.
pub(super) async fn admin(session: &mut Session, request: &Request) -> Answer {
    let input: TicketAdminInp = request.input()?;
    let who = session.acting(&input.cond_input)?;
    let [verb, string, a, b, c] =
        [input.arg1, input.arg2, input.arg3, input.arg4, input.arg5].map(Option::unwrap_or_default);
    match verb.as_str() {
        // Whether there is such a ticket shows when it is needed (recorded exchange prc_tickets).
        "session" => session.ticket = Some(string).filter(|string| !string.is_empty()),
        "create" => {
            session
                .catalog()
                .write(move |conn| tickets::create(conn, &who, &string, &a, &b))
                .await?;
        }
        "delete" => {
            session
                .catalog()
                .write(move |conn| tickets::delete(conn, &who, &string))
                .await?;
        }
        "mod" => {
            let change = change(&a, b, c).await?;
            session
                .catalog()
                .write(move |conn| tickets::modify(conn, &who, &string, &change))
                .await?;
        }
        other => return Err(invalid(format!("a ticket cannot be {other:?}"))),
    }
    Ok(Reply::done())
}

fn invalid(message: String) -> Failure {
    Failure::new(codes::CAT_INVALID_ARGUMENT, message)
}

async fn change(what: &str, value: String, name: String) -> Result<Change, Failure> {
    let number = || {
        let number = value.trim().parse::<i64>().ok().filter(|&n| n >= 0);
        number.ok_or_else(|| invalid(format!("{value:?} is no number")))
    };
    Ok(match what {
        "uses" => Change::Uses(number()?),
        "write-file" => Change::WriteFiles(number()?),
        "write-bytes" | "write-byte" => Change::WriteBytes(number()?),
        "expire" => Change::Expiry(number()?.to_string()),
        "add" | "remove" => {
            let (restriction, name) = match value.as_str() {
                "host" => (Restriction::Host, address(name).await?),
                "user" => (Restriction::User, name),
                "group" => (Restriction::Group, name),
                other => return Err(invalid(format!("a ticket is not for a {other:?}"))),
            };
            match what {
                "add" => Change::Add(restriction, name),
                _ => Change::Remove(restriction, name),
            }
        }
        other => return Err(invalid(format!("a ticket has no {other:?}"))),
    })
}

/// The address of a host.
async fn address(name: String) -> Result<String, Failure> {
    if name.parse::<IpAddr>().is_ok() {
        return Ok(name);
    }
    let host = name.clone();
    let found = blocking(move || {
        let mut all: Vec<IpAddr> = (host.as_str(), 0)
            .to_socket_addrs()?
            .map(|a| a.ip())
            .collect();
        all.sort_by_key(IpAddr::is_ipv6);
        std::io::Result::Ok(all)
    });
    match found.await?.ok().and_then(|all| all.first().copied()) {
        Some(address) => Ok(address.to_string()),
        None => Err(invalid(format!("no such host: {name}"))),
    }
}
