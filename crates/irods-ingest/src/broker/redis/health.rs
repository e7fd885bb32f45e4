//! What kind of Redis it is: too old, or set up so that it may lose what it was told.

use redis::{Cmd, Value};

use super::fault::Tried;
use super::link::Link;
use crate::broker::BrokerError;

/// The oldest that has what the scripts use.
const OLDEST: (u32, u32) = (6, 2);

/// Refuses a Redis that is too old; answers what the operator should know of any other.
pub(super) async fn examine(link: &Link, broker: &str) -> Tried<Vec<String>> {
    let mut command = Cmd::new();
    command.arg("INFO");
    let info = match link.command(&command).await {
        Ok(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(Value::VerbatimString { text, .. }) => text,
        Ok(_) => String::new(),
        // Some who offer Redis, and some administrators, do not let everybody ask.
        Err(fault) => match fault.into_error(broker) {
            BrokerError::Unusable { detail, .. }
                if detail.contains("NOPERM") || detail.contains("permission") =>
            {
                return Ok(vec![format!(
                    "{broker} does not say how it is set up ({detail}); it should have appendonly yes and maxmemory-policy noeviction"
                )]);
            }
            error => return Err(error.into()),
        },
    };
    judge(&info, broker)
}

fn judge(info: &str, broker: &str) -> Tried<Vec<String>> {
    let value = |name: &str| {
        info.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found == name).then_some(value.trim())
        })
    };
    if let Some(version) = value("redis_version") {
        let mut parts = version
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < OLDEST {
            return Err(BrokerError::Unusable {
                broker: broker.to_owned(),
                detail: format!("it is Redis {version}; 6.2 or later is needed"),
            }
            .into());
        }
    }
    let mut warnings = Vec::new();
    if value("role") == Some("slave") {
        warnings.push(format!(
            "{broker} is a replica: unless it is a writable one, nothing can be queued or done before it is made the primary"
        ));
    }
    if value("aof_enabled") == Some("0") {
        warnings.push(format!(
            "{broker} has appendonly no: when it is restarted, jobs go back to its last snapshot or are gone"
        ));
    }
    if let Some(policy) = value("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        warnings.push(format!(
            "{broker} has maxmemory-policy {policy}: when its memory is full it removes parts of jobs; set it to noeviction"
        ));
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn info(version: &str, aof: u8, policy: &str) -> String {
        format!(
            "# Server\r\nredis_version:{version}\r\naof_enabled:{aof}\r\nmaxmemory_policy:{policy}\r\n"
        )
    }

    #[test]
    fn what_may_lose_something_is_warned_of() {
        assert_eq!(
            judge(&info("6.2.0", 1, "noeviction"), "b").unwrap(),
            [""; 0]
        );
        assert_eq!(
            judge(&info("7.0.15", 0, "allkeys-lru"), "b").unwrap().len(),
            2
        );
    }

    #[test]
    fn an_old_one_is_refused() {
        for version in ["6.0.16", "5.0.14", "unknown"] {
            assert!(judge(&info(version, 1, "noeviction"), "b").is_err());
        }
        assert!(judge("", "b").unwrap().is_empty());
        let replica = format!("role:slave\r\n{}", info("7.0.15", 1, "noeviction"));
        assert_eq!(judge(&replica, "b").unwrap().len(), 1);
    }
}
