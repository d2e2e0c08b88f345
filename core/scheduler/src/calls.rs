//! The calls of the scheduler API, as messages.
//!
//! Every call but the first SUBSCRIBE carries the framework's id; [`Calls`] holds it so that no
//! caller can forget it.

use bytes::Bytes;
use orrery_api::v1;
use orrery_api::v1::scheduler::{Call, call};

/// Makes calls in the name of one framework.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls<'a> {
    pub(crate) framework_id: Option<&'a v1::FrameworkId>,
}

impl Calls<'_> {
    fn call(&self, kind: call::Type) -> Call {
        Call {
            framework_id: self.framework_id.cloned(),
            r#type: Some(kind as i32),
            ..Default::default()
        }
    }

    pub(crate) fn subscribe(&self, subscribe: call::Subscribe) -> Call {
        Call { subscribe: Some(subscribe), ..self.call(call::Type::Subscribe) }
    }

    pub(crate) fn teardown(&self) -> Call {
        self.call(call::Type::Teardown)
    }

    pub(crate) fn accept(
        &self,
        offer_ids: Vec<v1::OfferId>,
        operations: Vec<v1::offer::Operation>,
        filters: Option<v1::Filters>,
    ) -> Call {
        Call {
            accept: Some(call::Accept { offer_ids, operations, filters }),
            ..self.call(call::Type::Accept)
        }
    }

    pub(crate) fn decline(
        &self,
        offer_ids: Vec<v1::OfferId>,
        filters: Option<v1::Filters>,
    ) -> Call {
        Call {
            decline: Some(call::Decline { offer_ids, filters }),
            ..self.call(call::Type::Decline)
        }
    }

    pub(crate) fn revive(&self, roles: Vec<String>) -> Call {
        Call { revive: Some(call::Revive { roles }), ..self.call(call::Type::Revive) }
    }

    pub(crate) fn suppress(&self, roles: Vec<String>) -> Call {
        Call { suppress: Some(call::Suppress { roles }), ..self.call(call::Type::Suppress) }
    }

    pub(crate) fn kill(&self, kill: call::Kill) -> Call {
        Call { kill: Some(kill), ..self.call(call::Type::Kill) }
    }

    pub(crate) fn shutdown(&self, executor_id: v1::ExecutorId, agent_id: v1::AgentId) -> Call {
        Call {
            shutdown: Some(call::Shutdown { executor_id, agent_id }),
            ..self.call(call::Type::Shutdown)
        }
    }

    /// `None` when the status is not one to acknowledge: it has no uuid, or no agent to send the
    /// acknowledgement to.
    pub(crate) fn acknowledge(&self, status: &v1::TaskStatus) -> Option<Call> {
        let uuid = update_uuid(status)?.clone();
        let agent_id = status.agent_id.clone()?;
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id.clone(), uuid };
        Some(Call { acknowledge: Some(acknowledge), ..self.call(call::Type::Acknowledge) })
    }

    /// As [`Calls::acknowledge`], for an operation.
    pub(crate) fn acknowledge_operation(&self, status: &v1::OperationStatus) -> Option<Call> {
        let acknowledge = call::AcknowledgeOperationStatus {
            agent_id: status.agent_id.clone(),
            resource_provider_id: status.resource_provider_id.clone(),
            uuid: status.uuid.as_ref()?.value.clone(),
            operation_id: status.operation_id.clone()?,
        };
        Some(Call {
            acknowledge_operation_status: Some(acknowledge),
            ..self.call(call::Type::AcknowledgeOperationStatus)
        })
    }

    pub(crate) fn reconcile(&self, tasks: Vec<call::reconcile::Task>) -> Call {
        Call { reconcile: Some(call::Reconcile { tasks }), ..self.call(call::Type::Reconcile) }
    }

    pub(crate) fn message(
        &self,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        data: Bytes,
    ) -> Call {
        Call {
            message: Some(call::Message { agent_id, executor_id, data }),
            ..self.call(call::Type::Message)
        }
    }
}

/// The uuid that marks an update as one to acknowledge. An empty one counts as none.
pub(crate) fn update_uuid(status: &v1::TaskStatus) -> Option<&Bytes> {
    status.uuid.as_ref().filter(|uuid| !uuid.is_empty())
}

/// The LAUNCH operation for `tasks`.
pub fn launch(tasks: Vec<v1::TaskInfo>) -> v1::offer::Operation {
    v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch as i32),
        launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
        ..Default::default()
    }
}
