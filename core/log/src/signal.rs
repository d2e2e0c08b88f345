//! Something that happens once, which any number of tasks can wait for.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    waiting: Vec<oneshot::Sender<T>>,
}

/// Something that happens once. The first value stays.
#[derive(Debug)]
pub(crate) struct Signal<T> {
    state: Mutex<State<T>>,
}

impl<T: Clone> Signal<T> {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { value: None, waiting: Vec::new() }) }
    }

    /// It has happened.
    pub(crate) fn set(&self, value: T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.value.is_some() {
            return;
        }
        for waiting in state.waiting.drain(..) {
            // Who does not wait any more needs nothing.
            let _ = waiting.send(value.clone());
        }
        state.value = Some(value);
    }

    /// What has happened, if it has.
    pub(crate) fn get(&self) -> Option<T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    /// Waits until it happens; `None` when it never will.
    pub(crate) async fn wait(&self) -> Option<T> {
        let receiver = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.value.is_some() {
                return state.value.clone();
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.retain(|waiting| !waiting.is_closed());
            state.waiting.push(sender);
            receiver
        };
        receiver.await.ok()
    }
}
