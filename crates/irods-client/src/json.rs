//! The calls whose input and output are JSON texts (20000 and up).

use irods_protocol::message::{BinBytesBuf, BytesBuf};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::{Connection, Reply, Request};
use crate::error::{Call, Result, Violation};

impl Connection {
    /// Makes a JSON call and returns the reply whatever its code: such replies carry an explanation beside negative codes.
    pub(crate) async fn exchange_json(
        &mut self,
        request: Request<'_>,
        input: &Value,
    ) -> Result<Reply> {
        let text = input.to_string().into_bytes();
        // Servers before 4.2.9 took the text raw.
        if self.server.json_apis_use_bin_bytes() {
            let input = BinBytesBuf(text);
            self.exchange(request, Some(&input), &mut |_| {}).await
        } else {
            let input = BytesBuf(text);
            self.exchange(request, Some(&input), &mut |_| {}).await
        }
    }

    /// Makes a JSON call. What a failed one explains (`error_message`) joins the error's messages.
    pub(crate) async fn call_json(&mut self, request: Request<'_>, input: &Value) -> Result<Reply> {
        let mut reply = self.exchange_json(request, input).await?;
        if reply.code < 0
            && !reply.message.is_empty()
            && let Ok(output) = self.decode_json::<Value>(request.api, &reply)
            && let Some(text) = output.get("error_message").and_then(Value::as_str)
        {
            reply.messages.push(irods_protocol::message::RErrMsg {
                status: 0,
                msg: text.trim().to_owned(),
            });
        }
        self.checked(request, reply)
    }

    /// The JSON output of a reply; servers end it with a NUL.
    pub(crate) fn decode_json<T: DeserializeOwned>(
        &mut self,
        api: i32,
        reply: &Reply,
    ) -> Result<T> {
        let text = if self.server.json_apis_use_bin_bytes() {
            self.decode::<BinBytesBuf>(api, reply)?.0
        } else {
            self.decode::<BytesBuf>(api, reply)?.0
        };
        let end = text.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
        serde_json::from_slice(text.get(..end).unwrap_or_default()).map_err(|e| {
            let what = format!("output that is not the expected JSON: {e}");
            self.violation(Call::Api(api), Violation::Content(what))
        })
    }
}
