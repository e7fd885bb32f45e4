//! Two requests sent as one, whose replies are read afterwards: one round trip instead of two. Servers answer the requests of a
//! connection in order, whether or not the client waits in between (recorded exchange prc_pipelined).

use irods_protocol::Pi;

use super::{Connection, Reply, Request, State};
use crate::error::{Call, Result};
use crate::observe::Watched;

impl Connection {
    /// Makes two calls; the second is carried out even if the first fails, so it must do no harm then. The first has no byte
    /// stream.
    pub(crate) async fn call_both<A: Pi, B: Pi>(
        &mut self,
        (first, first_input): (Request<'_>, &A),
        (second, second_input): (Request<'_>, &B),
    ) -> Result<(Reply, Reply)> {
        let mut heads = self.encode(first, Some(first_input))?;
        heads.extend(self.encode(second, Some(second_input))?);
        let call = Call::Api(second.api);
        self.enter(call, second.subject)?;
        self.counts.add(first.api);
        self.counts.add(second.api);
        let observer = self.observer.as_ref();
        let watched = Watched::begin(observer, first.api, first.subject);
        let other_watched = Watched::begin(observer, second.api, second.subject);
        self.wire.begin();
        let outcome = async {
            self.wire.send(heads, second.bytes).await?;
            let one = self.answer(first, &mut |_| {}).await?;
            let other = self.answer(second, &mut |_| {}).await?;
            Ok((one, other))
        };
        match outcome.await {
            Ok((one, other)) => {
                self.state = State::Ready;
                watched.answered(one.code);
                other_watched.answered(other.code);
                Ok((self.checked(first, one)?, self.checked(second, other)?))
            }
            Err(error) => Err(self.failed(call, second.subject, error)),
        }
    }
}
