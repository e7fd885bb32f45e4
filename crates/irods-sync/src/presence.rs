//! Who this process is to the broker, and which of the others on this machine are dead.
//!
//! A process that was killed counts as alive until its last heartbeat runs out. Who starts next on the same machine knows better:
//! no process of that number lives, or it was started at another time, or the machine was. Where that cannot be told
//! (another machine, another container), the heartbeat decides.

use std::time::{SystemTime, UNIX_EPOCH};

use ingest::broker::{Broker, Departure, WorkerId, WorkerInfo};

use crate::exit::Result;

/// What this process says of itself.
pub fn me() -> WorkerInfo {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let pid = std::process::id();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    WorkerInfo {
        id: WorkerId(format!("{host}:{pid}:{now:x}")),
        process: identity(&Here::read(), start_time(pid)),
        host,
        pid,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        status: String::new(),
    }
}

/// Tells the broker of all workers on this machine that are dead, so that their leases and jobs are free at once.
///
/// # Errors
/// Those of the broker.
pub async fn bury_the_dead(broker: &dyn Broker) -> Result<()> {
    let here = Here::read();
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    for worker in broker.workers().await? {
        let info = &worker.info;
        if info.host == host && is_dead(&here, &info.process, || start_time(info.pid)) {
            tracing::info!(worker = %info.id, "a worker of this machine is dead");
            broker.worker_gone(&info.id, Departure::Died).await?;
        }
    }
    Ok(())
}

/// The machine, its last start, and the name space in which process numbers mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Here {
    machine: String,
    boot: String,
    name_space: String,
}

impl Here {
    fn read() -> Self {
        let file = |path| {
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Here {
            machine: file("/etc/machine-id"),
            boot: file("/proc/sys/kernel/random/boot_id"),
            name_space: link.to_string_lossy().into_owned(),
        }
    }
}

fn identity(here: &Here, start: Option<u64>) -> String {
    let start = start.map(|ticks| ticks.to_string()).unwrap_or_default();
    format!("{}/{}/{}/{start}", here.machine, here.boot, here.name_space)
}

/// Whether the process with this identity is known to be dead; `start_now` is the start time of the process that has its
/// number now, if there is one.
fn is_dead(here: &Here, identity: &str, start_now: impl FnOnce() -> Option<u64>) -> bool {
    let parts: Vec<&str> = identity.split('/').collect();
    let [machine, boot, name_space, start] = parts[..] else {
        return false;
    };
    let Ok(start) = start.parse::<u64>() else {
        return false;
    };
    if machine != here.machine || boot.is_empty() || here.boot.is_empty() {
        return false;
    }
    if boot != here.boot {
        return !machine.is_empty();
    }
    name_space == here.name_space && !name_space.is_empty() && start_now() != Some(start)
}

/// When a process was started, in ticks since the machine was; none if it does not live.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    start_of_stat(&stat)
}

/// The fields after the name (which may contain anything) begin with the third, the state; the start time is the 22nd.
fn start_of_stat(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    match fields.next()? {
        "Z" | "X" | "x" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn here(machine: &str, boot: &str, name_space: &str) -> Here {
        Here {
            machine: machine.into(),
            boot: boot.into(),
            name_space: name_space.into(),
        }
    }

    #[test]
    fn this_process_lives_and_its_number_at_another_time_is_another_process() {
        let me = me();
        let now = || start_time(me.pid);
        assert!(now().is_some());
        assert!(!is_dead(&Here::read(), &me.process, now));
        assert!(is_dead(&Here::read(), &me.process, || None));
        assert!(is_dead(&Here::read(), &me.process, || now().map(|start| start + 1)));
    }

    #[test]
    fn what_cannot_be_told_is_left_to_the_heartbeat() {
        let them = identity(&here("m", "b", "n"), Some(7));
        let gone = || None;
        assert!(is_dead(&here("m", "b", "n"), &them, gone));
        assert!(
            is_dead(&here("m", "b2", "n"), &them, gone),
            "the machine was started again"
        );
        assert!(
            !is_dead(&here("m2", "b2", "n"), &them, gone),
            "another machine"
        );
        assert!(
            !is_dead(&here("m", "b", "n2"), &them, gone),
            "another container"
        );
        assert!(!is_dead(&here("m", "", ""), &them, gone));
        assert!(!is_dead(&here("m", "b", "n"), "nonsense", gone));
        assert!(!is_dead(
            &here("", "b2", "n"),
            &identity(&here("", "b", "n"), Some(7)),
            gone
        ));
    }

    #[test]
    fn a_name_may_contain_anything_and_a_zombie_does_not_live() {
        let rest = "1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        assert_eq!(start_of_stat(&format!("5 (a) b) S {rest}")), Some(4711));
        assert_eq!(start_of_stat(&format!("5 (a) Z {rest}")), None);
        assert_eq!(start_of_stat(""), None);
    }
}
