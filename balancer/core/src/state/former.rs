//! The state file of versions before the journal: desired state and the edge's own in one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Services, State};
use crate::model::{BackendId, Health};

/// What such a file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerState {
    generation: u64,
    hash_key: u64,
    /// The edge's own: the digest of the configuration file's services that were applied last.
    pub config_digest: Option<String>,
    services: Services,
    /// The edge's own: no VIP is announced to routers until the operator takes it back.
    #[serde(default)]
    pub drained: bool,
    /// The edge's own: the last known health of backends.
    pub health: BTreeMap<BackendId, Health>,
    next_service_id: u16,
    next_backend_id: u16,
}

impl FormerState {
    /// The desired state.
    pub fn into_state(self) -> State {
        State {
            generation: self.generation,
            hash_key: self.hash_key,
            services: self.services,
            next_service_id: self.next_service_id,
            next_backend_id: self.next_backend_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As lbd wrote it before the journal, for `lbctl services add web` and one backend, with the edge drained.
    const FORMER: &str = r#"{"generation":3,"hash_key":7,"config_digest":"d1","services":{"web":{"service":{"name":"web",
        "key":{"vip":"198.51.100.10","port":8000,"protocol":"tcp"},"encapsulation":"gue","check":null,
        "drain_timeout_ms":1000,"backends":{"10.1.0.1":{"address":"10.1.0.1","weight":1,"admin":"active"}}},"id":4,
        "generation":2,"ids":{"10.1.0.1":9},"table":{"owners":[9,9],"history":[[1,8]]},"drain_deadline_unix_ms":{},
        "lives":{},"removed_when_drained":false}},"drained":true,"health":{"9":"down"},"next_service_id":5,
        "next_backend_id":10}"#;

    #[test]
    fn nothing_of_a_state_of_before_is_lost() {
        let former: FormerState = serde_json::from_str(FORMER).unwrap();
        assert_eq!(former.config_digest.as_deref(), Some("d1"));
        assert!(former.drained);
        assert_eq!(former.health, [(BackendId(9), Health::Down)].into());
        let state = former.into_state();
        assert_eq!((state.generation, state.hash_key), (3, 7));
        assert_eq!((state.next_service_id, state.next_backend_id), (5, 10));
        let web = &state.services[&"web".parse().unwrap()];
        assert_eq!(web.table.owners(), [BackendId(9); 2]);
        assert_eq!(web.table.history()[1][0], BackendId(8));
    }

    #[test]
    fn a_state_of_before_without_a_word_of_draining_is_not_drained() {
        let text = FORMER.replace("\"drained\":true,", "");
        let former: FormerState = serde_json::from_str(&text).unwrap();
        assert!(!former.drained);
    }
}
