//! The connection to the master: one at a time, opened and closed as the machine wants it.

use std::sync::Arc;

use orrery_agent::{Input, LinkNumber};
use orrery_api::link::{self, from_agent};
use orrery_coverage::reachable;
use orrery_link::LinkSender;
use orrery_runtime::tasks::AbortOnDrop;

use crate::daemon::{Shared, lock};

/// A connection that is being opened or is open.
pub(crate) struct Link {
    number: LinkNumber,
    /// Set once it is open.
    sender: Option<LinkSender<link::FromAgent>>,
    /// Receives. It holds the connection open, so it must end with it.
    _task: AbortOnDrop,
}

impl Link {
    /// Begins to open a connection, which takes the place of the one before.
    pub(crate) fn open(shared: &Arc<Shared>, number: LinkNumber) {
        let weak = Arc::downgrade(shared);
        let runtime = shared.runtime.clone();
        let detector = shared.detector.clone();
        let task = shared.runtime.spawn("master link", async move {
            let master = detector.leader().await;
            let opened = orrery_link::connect(&runtime, &master).await;
            let Some(shared) = weak.upgrade() else { return };
            let mut receiver = match opened {
                Ok((sender, receiver)) => {
                    shared.link_opened(number, sender);
                    receiver
                }
                Err(error) => {
                    reachable!("an agent gets no link to its master");
                    tracing::warn!(%error, "no link to the master");
                    return shared.feed_later(Input::LinkDown { link: number });
                }
            };
            let feeder = shared.feeder.clone();
            drop(shared);
            let mut input = Some(Input::LinkUp { link: number });
            // One question for as long as the link lasts, not another one with each message.
            let replaced = detector.replaced(&master);
            tokio::pin!(replaced);
            loop {
                if let Some(input) = input.take()
                    && feeder.feed(input).await.is_err()
                {
                    // A stopping agent needs no inputs any more.
                    return;
                }
                let received = tokio::select! {
                    biased;
                    received = receiver.receive() => received,
                    () = &mut replaced => {
                        tracing::info!(%master, "another master leads");
                        None
                    }
                };
                let Some(message) = received else {
                    break;
                };
                if let Some(shared) = weak.upgrade() {
                    shared.checkpoints.room(&runtime).await;
                }
                // A message without a body is of a kind that only newer masters know.
                input = message
                    .body
                    .map(|body| Input::FromMaster { link: number, body: Box::new(body) });
            }
            let _ = feeder.feed(Input::LinkDown { link: number }).await;
        });
        let link = Self { number, sender: None, _task: task.abort_on_drop() };
        *lock(&shared.link) = Some(link);
    }

    /// Lets what is queued go out, and ends the connection.
    pub(crate) fn close(self) {
        if let Some(sender) = self.sender {
            sender.close();
        }
    }
}

impl Shared {
    fn link_opened(&self, number: LinkNumber, sender: LinkSender<link::FromAgent>) {
        // The machine may have given this connection up meanwhile.
        if let Some(link) = lock(&self.link).as_mut().filter(|link| link.number == number) {
            link.sender = Some(sender);
        } else {
            reachable!("a link opens that the agent has given up");
        }
    }

    pub(crate) fn close_link(&self, number: LinkNumber) {
        let link = lock(&self.link).take_if(|link| link.number == number);
        if let Some(link) = link {
            link.close();
        }
    }

    pub(crate) fn send_to_master(&self, body: from_agent::Body) {
        let open = lock(&self.link);
        let Some(link) = open.as_ref() else { return };
        let Some(sender) = &link.sender else { return };
        let message = link::FromAgent { body: Some(body), ..Default::default() };
        if let Err(error) = sender.try_send(message) {
            let number = link.number;
            drop(open);
            reachable!("an agent gives up the link to its master");
            tracing::warn!(link = number, %error, "link to the master given up");
            self.close_link(number);
            self.feed_later(Input::LinkDown { link: number });
        }
    }
}
