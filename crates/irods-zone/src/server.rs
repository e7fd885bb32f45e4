//! Accepting connections: at most as many as configured, the rest told so.

use std::sync::Arc;
use std::time::Duration;

use irods_protocol::codes;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::agent;
use crate::wire::Wire;
use crate::zone::Shared;

/// Connections over the limit that are told so at a time; beyond that they are just closed.
const REFUSALS: usize = 32;

/// Accepts until the zone stops.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(shared.limits.connections.max(1)));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly. Others may become free.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the peer left at once");
            continue;
        }
        let (place, refuse) = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => (place, None),
            Err(_) => match Arc::clone(&refusals).try_acquire_owned() {
                Ok(place) => (place, Some(codes::SYS_MAX_CONNECT_COUNT_EXCEEDED)),
                Err(_) => continue,
            },
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            agent::serve(Wire::Plain(stream), peer, shared, refuse).await;
            drop(place);
        });
    }
}
