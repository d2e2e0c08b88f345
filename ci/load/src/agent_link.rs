//! The link between an emulated agent and the master.

use std::sync::Arc;
use std::time::Duration;

use orrery_api::link::{FromAgent, from_agent};
use orrery_link::{LinkReceiver, LinkSender, SendError, connect};
use orrery_runtime::{Address, Runtime};

use crate::agent::{EmulatedAgent, Manner};
use crate::progress::Progress;

/// How often an agent tries to reach the master, and how long it waits in between. A master that
/// many agents come to at once may not take all of them at the first attempt.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// Runs agent number `number` until its link breaks, which makes the measurement fail.
pub async fn run(
    runtime: Runtime,
    master: Address,
    number: u32,
    manner: Arc<Manner>,
    progress: Arc<Progress>,
) {
    let generator = runtime.random.generator();
    let agent = EmulatedAgent::new(number, manner, Arc::clone(&progress), generator);
    if let Err(reason) = serve(&runtime, &master, agent).await {
        progress.fail(format!("agent {number}: {reason}"));
    }
}

/// Serves until the link breaks, and says why it did.
async fn serve(
    runtime: &Runtime,
    master: &Address,
    mut agent: EmulatedAgent,
) -> Result<(), String> {
    let (sender, mut receiver) = open(runtime, master).await?;
    send(&sender, Some(agent.register()))?;
    loop {
        let message = match agent.deadline() {
            None => receiver.receive().await,
            Some(deadline) => tokio::select! {
                biased;
                message = receiver.receive() => message,
                () = runtime.clock.sleep_until(deadline) => {
                    send(&sender, agent.finish(runtime.now()))?;
                    continue;
                }
            },
        };
        let Some(message) = message else { return Err("the master closed its link".to_owned()) };
        if let Some(body) = message.body {
            send(&sender, agent.receive(runtime.now(), body))?;
        }
    }
}

type Link = (LinkSender<FromAgent>, LinkReceiver<orrery_api::link::FromMaster>);

async fn open(runtime: &Runtime, master: &Address) -> Result<Link, String> {
    for _ in 1..ATTEMPTS {
        if let Ok(link) = connect(runtime, master).await {
            return Ok(link);
        }
        runtime.sleep(PAUSE).await;
    }
    connect(runtime, master).await.map_err(|error| error.to_string())
}

fn send(sender: &LinkSender<FromAgent>, body: Option<from_agent::Body>) -> Result<(), String> {
    let Some(body) = body else { return Ok(()) };
    let message = FromAgent { body: Some(body), ..Default::default() };
    sender.try_send(message).map_err(|error: SendError| error.to_string())
}
