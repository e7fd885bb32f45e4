//! Whose a file is: numbers, and the names that this machine has for them.

use std::collections::HashMap;
use std::io;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::{Group, User};
use serde::{Deserialize, Serialize};

/// The numbers of the user and the group of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// As in `st_uid`.
    pub uid: u32,
    /// As in `st_gid`.
    pub gid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Account {
    User(u32),
    Group(u32),
}

/// How long a name is believed: a directory service may be slow to ask, and is asked for each file otherwise.
const BELIEVED: Duration = Duration::from_secs(300);

static NAMES: LazyLock<Mutex<HashMap<Account, (Instant, String)>>> = LazyLock::new(Mutex::default);

impl Owner {
    /// The user's name as this machine knows it, or the number of one that it does not know.
    ///
    /// # Errors
    /// The accounts could not be looked up.
    pub fn user(&self) -> io::Result<String> {
        let look = || User::from_uid(self.uid.into()).map(|user| user.map(|user| user.name));
        name(Account::User(self.uid), self.uid, look)
    }

    /// The same of the group.
    ///
    /// # Errors
    /// The accounts could not be looked up.
    pub fn group(&self) -> io::Result<String> {
        let look = || Group::from_gid(self.gid.into()).map(|group| group.map(|group| group.name));
        name(Account::Group(self.gid), self.gid, look)
    }
}

fn name(
    account: Account,
    number: u32,
    look: impl FnOnce() -> nix::Result<Option<String>>,
) -> io::Result<String> {
    let known = || NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let believed = |(since, _): &&(Instant, String)| since.elapsed() < BELIEVED;
    if let Some((_, name)) = known().get(&account).filter(believed) {
        return Ok(name.clone());
    }
    let found = match look() {
        Ok(found) => found,
        // So do systems say that there is no such account (getpwuid(3)).
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => None,
        Err(errno) => return Err(errno.into()),
    };
    let name = found.unwrap_or_else(|| number.to_string());
    known().insert(account, (Instant::now(), name.clone()));
    Ok(name)
}
