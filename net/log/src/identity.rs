//! Makes sure that the replica is the one that others reach at its address.
//!
//! Two masters that were told the same address would vote under one name. The one that is not
//! reached there ends and says so; the other one goes on.

use std::time::Duration;

use futures_util::stream;
use orrery_log::wire::{decode_response, encode_request};
use orrery_log::{Log, Request, Response};
use orrery_runtime::{Address, Runtime};

use crate::connection::connect;

/// How often it is made sure of.
const INTERVAL: Duration = Duration::from_secs(10);

/// How long an answer may take. An address that cannot be reached from here says nothing.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Asks whoever answers at `own`, now and then, who it is. Ends with the replica.
pub(crate) async fn watch(runtime: Runtime, log: Log, own: Address) {
    while let Ok(status) = log.status().await {
        let answered = runtime.timeout(ANSWER_TIME, ask(&runtime, &own)).await.flatten();
        if answered.is_some_and(|id| id != status.id) {
            tracing::error!(address = %own, "another replica answers at the address of this one");
            log.conflict(own).await;
            return;
        }
        runtime.sleep(INTERVAL).await;
    }
}

/// The id of the replica that answers at `address`, if one does.
async fn ask(runtime: &Runtime, address: &Address) -> Option<u64> {
    let (mut client, closer) = connect(runtime, address).await.ok()?;
    let question = encode_request(address, Request::Inquire { nonce: 0 });
    // The exchange ends once it is answered, so the stream of questions must not end before.
    let questions = stream::iter([question]);
    let questions = futures_util::StreamExt::chain(questions, stream::pending());
    let answer = async {
        let mut answers = client.exchange(questions).await.ok()?.into_inner();
        match decode_response(answers.message().await.ok()??).ok()? {
            Response::State { voter, .. } => Some(voter.id),
            _ => None,
        }
    };
    let id = answer.await;
    closer.close_within(Duration::ZERO);
    id
}
