//! The status of drains: whoever waits for one looks here.

use std::collections::BTreeMap;

use balancer_core::state::{Operation, OperationId, State};

use crate::views::{OperationState, OperationView};

/// Every drain that is remembered. It shares the state that it is of, and makes views of what is asked for.
#[derive(Clone, Debug)]
pub struct DrainStatus {
    state: State,
    unix_ms: u64,
    published: bool,
    /// How many sockets the backend of a drain had when its agent was last asked.
    sockets: BTreeMap<OperationId, u64>,
}

impl DrainStatus {
    /// The drains of `state` at `unix_ms`, milliseconds since 1970. `published`: whether the data plane has that state.
    pub fn new(state: State, unix_ms: u64, published: bool) -> Self {
        Self {
            state,
            unix_ms,
            published,
            sockets: BTreeMap::new(),
        }
    }

    /// Takes the drains as they are now; what is known of sockets stays.
    pub fn update(&mut self, state: &State, unix_ms: u64, published: bool) {
        self.state = state.clone();
        (self.unix_ms, self.published) = (unix_ms, published);
    }

    /// The generation of the state.
    pub fn generation(&self) -> u64 {
        self.state.generation
    }

    /// Every drain, in the order of service and address.
    pub fn operations(&self) -> impl Iterator<Item = OperationView> {
        let operations = self.state.operations(self.unix_ms);
        operations.map(|operation| self.view(operation))
    }

    /// The drain that the newest end of this one's backend began: this one, or one of another life.
    pub fn newest(&self, id: &OperationId) -> Option<OperationView> {
        let operation = self.state.operation(&id.service, id.address, self.unix_ms);
        operation.map(|operation| self.view(operation))
    }

    /// The drains that agents can be asked for: before the data plane has them, a new flow can come at any moment.
    pub fn running(&self) -> Vec<OperationView> {
        if !self.published {
            return Vec::new();
        }
        let running =
            |view: &OperationView| view.state == OperationState::Running && view.agent.is_some();
        self.operations().filter(running).collect()
    }

    /// Notes how many sockets the backend of a drain has, if its agent could tell; whether that is news.
    pub fn note_sockets(&mut self, id: &OperationId, sockets: Option<u64>) -> bool {
        let before = match sockets {
            Some(sockets) => self.sockets.insert(id.clone(), sockets),
            None => self.sockets.remove(id),
        };
        before != sockets
    }

    /// Forgets the sockets of drains that are no longer remembered.
    pub fn forget_sockets(&mut self) {
        let (state, unix_ms) = (&self.state, self.unix_ms);
        self.sockets.retain(|id, _| {
            let newest = state.operation(&id.service, id.address, unix_ms);
            newest.is_some_and(|newest| newest.id == *id)
        });
    }

    fn view(&self, operation: Operation) -> OperationView {
        let sockets = self.sockets.get(&operation.id).copied();
        OperationView {
            sockets,
            ..OperationView::new(operation, self.state.generation)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use balancer_core::{
        model::Weight,
        state::{Change, DoneReason, Event, Happened},
    };

    use super::*;
    use crate::testing::samples::{add, name, web};

    const DEADLINE: u64 = 1_700_000_000_000;

    fn after(state: &State, happened: Happened) -> State {
        let event = Event {
            service: name("web"),
            address: backend(),
            incarnation: 1,
            happened,
        };
        let changed = state.change(&Change::Hear(event), DEADLINE - 1_000);
        changed.expect("it is news").0
    }

    fn backend() -> IpAddr {
        [10, 1, 0, 77].into()
    }

    // Promise: V2
    #[test]
    fn what_an_agent_counted_is_known_as_long_as_the_drain() {
        let (state, _) = State::new(7).change(&add(web(&[])), 0).expect("a service");
        let launched = Happened::Launched {
            weight: Weight::default(),
            agent: Some("http://10.1.0.1:9110".to_owned()),
            instance: None,
        };
        let deadline_unix_ms = DEADLINE;
        let state = after(
            &after(&state, launched),
            Happened::Terminating { deadline_unix_ms },
        );
        let mut drain_status = DrainStatus::new(state.clone(), DEADLINE - 500, true);
        let [running] = &drain_status.running()[..] else {
            panic!("one drain runs");
        };
        assert_eq!(running.sockets, None);
        let id = running.id.clone();
        assert!(drain_status.note_sockets(&id, Some(3)));
        assert!(!drain_status.note_sockets(&id, Some(3)));
        // While the data plane has not got it, nobody is asked, and nothing forgotten.
        drain_status.update(&state, DEADLINE - 400, false);
        assert!(drain_status.running().is_empty());
        drain_status.update(&state, DEADLINE, true);
        drain_status.forget_sockets();
        let over = drain_status.newest(&id).expect("it is remembered");
        assert_eq!(
            (over.reason, over.sockets),
            (Some(DoneReason::Deadline), Some(3))
        );
        assert!(drain_status.running().is_empty());
        let later = OperationId {
            incarnation: 2,
            ..id.clone()
        };
        drain_status.note_sockets(&later, Some(1));
        drain_status.forget_sockets();
        assert_eq!(drain_status.sockets.len(), 1, "another life is no drain");
    }
}
