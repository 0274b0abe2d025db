//! The order in which the data plane goes from one plan to the next.

use std::{collections::BTreeMap, sync::Arc};

use super::{BackendRecord, Plan, ServiceRecord};
use crate::{
    model::{BackendId, ServiceId, ServiceKey},
    table::Table,
};

/// One write to the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A backend is new or has changed.
    PutBackend(BackendId, BackendRecord),
    /// A table is new or has changed.
    PutTable(ServiceId, Arc<Table>),
    /// A service is new, or uses another table or hash.
    PutService(ServiceKey, ServiceRecord),
    /// A service is gone.
    RemoveService(ServiceKey),
    /// A table is gone.
    RemoveTable(ServiceId),
    /// A backend is gone.
    RemoveBackend(BackendId),
}

/// The differences between two plans, in an order in which a service never uses a table or a backend
/// that is not there: backends, tables, services; removal in reverse.
pub fn steps(from: &Plan, to: &Plan) -> Vec<Step> {
    let backends = changed(&from.backends, &to.backends);
    let tables = changed(&from.tables, &to.tables);
    let services = changed(&from.services, &to.services);
    let mut steps = Vec::new();
    steps.extend(backends.map(|(&id, &record)| Step::PutBackend(id, record)));
    steps.extend(tables.map(|(&id, table)| Step::PutTable(id, Arc::clone(table))));
    steps.extend(services.map(|(&key, &record)| Step::PutService(key, record)));
    steps.extend(gone(&from.services, &to.services).map(|&key| Step::RemoveService(key)));
    steps.extend(gone(&from.tables, &to.tables).map(|&id| Step::RemoveTable(id)));
    steps.extend(gone(&from.backends, &to.backends).map(|&id| Step::RemoveBackend(id)));
    steps
}

/// The entries that are new or different in `to`.
fn changed<'a, K: Ord, V: PartialEq>(
    from: &'a BTreeMap<K, V>,
    to: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    to.iter()
        .filter(|&(key, value)| from.get(key) != Some(value))
}

/// The keys that are not in `to`.
fn gone<'a, K: Ord, V>(
    from: &'a BTreeMap<K, V>,
    to: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = &'a K> {
    from.keys().filter(|key| !to.contains_key(key))
}
