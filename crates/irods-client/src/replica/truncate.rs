//! Another size for a replica that is not open.

use irods_protocol::message::{KeyValPair, RErrMsg, StrPi};
use irods_protocol::{api, path};
use serde::Deserialize;

use super::ReplicaRef;
use crate::collection::bad_path;
use crate::connection::{Connection, Request};
use crate::data_object::object_input;
use crate::error::{Call, Result, Violation};

/// The replica that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncated {
    /// Its number.
    pub number: i32,
    /// Its hierarchy.
    pub hierarchy: String,
}

#[derive(Debug, Default, Deserialize)]
struct Output {
    #[serde(default)]
    message: String,
    replica_number: Option<i32>,
    resource_hierarchy: Option<String>,
}

impl Connection {
    /// Gives a replica another size: what is beyond goes, what is missing is zeros. The object's other replicas become stale.
    /// Servers from 4.3.2 on say which one it was, and can be told which; older ones take a good one of their choice.
    ///
    /// # Errors
    /// [`crate::Error::is_not_found`]; [`crate::Error::Unsupported`] where `which` is given and the server cannot be told;
    /// `LOCKED_DATA_OBJECT_ACCESS`.
    pub async fn truncate(
        &mut self,
        object: &str,
        size: u64,
        which: Option<&ReplicaRef>,
    ) -> Result<Option<Truncated>> {
        let number = match which {
            None if !self.has(api::REPLICA_TRUNCATE) => api::DATA_OBJ_TRUNCATE,
            _ => api::REPLICA_TRUNCATE,
        };
        let call = Call::Api(number);
        path::check(object).map_err(|e| bad_path(call, object, &e))?;
        let mut keywords = KeyValPair::new();
        if let Some(which) = which {
            which.set(&mut keywords);
        }
        let mut input = object_input(object, keywords);
        input.data_size = i64::try_from(size).unwrap_or(i64::MAX);
        let request = Request::new(number, object).patient();
        let mut reply = self.exchange(request, Some(&input), &mut |_| {}).await?;
        if number == api::DATA_OBJ_TRUNCATE {
            return self.checked(request, reply).map(|_| None);
        }
        // There is an output beside a refusal too.
        let mut output = Output::default();
        if !reply.message.is_empty() {
            let text: StrPi = self.decode(number, &reply)?;
            let text = text.my_str.unwrap_or_default();
            let parsed = serde_json::from_str(text.trim_end_matches('\0'));
            output = parsed.map_err(|e| {
                let what = format!("output that is not the expected JSON: {e}");
                self.violation(call, Violation::Content(what))
            })?;
        }
        reply.messages.push(RErrMsg {
            status: 0,
            msg: output.message,
        });
        self.checked(request, reply)?;
        Ok(output.replica_number.map(|number| Truncated {
            number,
            hierarchy: output.resource_hierarchy.unwrap_or_default(),
        }))
    }
}
