//! Requests that are sent before the replies to earlier ones were read, which saves round trips. Servers answer the requests of a
//! connection in order, whether or not the client waits in between (recorded exchange prc_pipelined, of 5.0.90; the source of 4.2 to 5.0
//! has the agent read its next message when it is done with the last).

use irods_protocol::Pi;
use tokio::time::Instant;

use super::{Connection, Patience, Reply, Request, State};
use crate::error::{Call, Delivery, Result};
use crate::observe::Watched;

/// A reply that is on its way. The connection is of no use for anything else until all are collected. Its time is told from
/// when the reply before it was collected.
#[derive(Debug)]
#[must_use]
pub(crate) struct Owed {
    api: i32,
    patience: Patience,
    watched: Watched<'static>,
}

impl Connection {
    /// Whether requests may be sent before earlier ones are answered. Of releases before 4.2.9 nobody has seen that they put up with it.
    pub fn takes_requests_ahead(&self) -> bool {
        self.server.has_replica_tokens()
    }

    /// Sends a call; its reply is to be collected after those to earlier ones. It is carried out even if an earlier one fails, so it
    /// must do no harm then.
    pub(crate) async fn send_ahead<I: Pi>(
        &mut self,
        request: Request<'_>,
        input: &I,
    ) -> Result<Owed> {
        let head = self.encode(request, Some(input))?;
        let call = Call::Api(request.api);
        let before = match self.state {
            State::Owing { replies, since } => Some((replies, since)),
            _ => self.enter(call, request.subject).map(|()| None)?,
        };
        self.state = State::Busy;
        self.counts.add(request.api);
        let watched = Watched::begin(self.observer.as_ref(), request.api, request.subject);
        let sent = match before {
            None => {
                self.wire.begin();
                self.wire.send(head, request.bytes).await
            }
            // It takes no more before it is done with what it has.
            Some(_) => {
                let patience = self.timeouts.reply;
                self.wire.send_within(patience, head, request.bytes).await
            }
        };
        if let Err(error) = sent {
            return Err(self.failed(call, request.subject, error));
        }
        let (replies, since) = before.unwrap_or_else(|| (0, Instant::now()));
        self.state = State::Owing {
            replies: replies + 1,
            since,
        };
        Ok(Owed {
            api: request.api,
            patience: request.patience,
            watched: watched.into_owned(),
        })
    }

    /// Reads the reply to the oldest call that is owed one; a negative result is an error.
    pub(crate) async fn collect(&mut self, mut owed: Owed, subject: &str) -> Result<Reply> {
        let request = Request {
            patience: owed.patience,
            ..Request::new(owed.api, subject)
        };
        let call = Call::Api(owed.api);
        let State::Owing { replies, since } = self.state else {
            return Err(self.abandoned(call, subject, Delivery::Possible));
        };
        self.state = State::Busy;
        owed.watched.began_after(since);
        match self.answer(request, &mut |_| {}).await {
            Ok(reply) => {
                self.state = match replies {
                    ..=1 => State::Ready,
                    _ => State::Owing {
                        replies: replies - 1,
                        since: Instant::now(),
                    },
                };
                owed.watched.answered(reply.code);
                self.checked(request, reply)
            }
            Err(error) => Err(self.failed(call, subject, error)),
        }
    }
}
