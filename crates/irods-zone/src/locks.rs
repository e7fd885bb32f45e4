//! One maker or remover of a physical path at a time.
//!
//! A maker holds the lock from before it writes the file until the catalog knows the file; a remover
//! holds it while it makes sure that the catalog does not know the file and removes it. So a file is
//! never removed under an object that has just been made at the same place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The paths in hand.
#[derive(Debug, Default, Clone)]
pub(crate) struct PathLocks {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<HashSet<PathBuf>>,
    freed: Notify,
}

/// Holds a path until dropped.
#[derive(Debug)]
pub(crate) struct PathGuard {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl PathLocks {
    /// Waits until nobody else holds the path. Hold one at a time.
    pub async fn lock(&self, path: &Path) -> PathGuard {
        loop {
            let freed = self.shared.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self
                .shared
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(path.to_owned())
            {
                return PathGuard {
                    shared: Arc::clone(&self.shared),
                    path: path.to_owned(),
                };
            }
            freed.await;
        }
    }
}

impl Drop for PathGuard {
    fn drop(&mut self) {
        self.shared
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.path);
        self.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_holder_waits_for_the_first() {
        let locks = PathLocks::default();
        let first = locks.lock(Path::new("/a")).await;
        let other = locks.lock(Path::new("/b")).await;
        let second = locks.lock(Path::new("/a"));
        tokio::pin!(second);
        tokio::select! {
            biased;
            _ = &mut second => panic!("both hold the path"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        drop(second.await);
        drop(other);
        assert!(
            locks
                .shared
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_empty()
        );
    }
}
