//! What one publication writes, by what it is about: each kind at once, and the kinds in the order of writes.

use balancer_common::abi;
use balancer_core::{
    model::{BackendId, ServiceId, ServiceKey},
    reconcile::{ServiceRecord, Step},
    table::Table,
};

use crate::image::record;

/// The steps of a plan, each kind in its order.
#[derive(Default)]
pub(super) struct Writes<'a> {
    pub(super) backends: Vec<(BackendId, abi::Backend)>,
    pub(super) tables: Vec<(ServiceId, &'a Table)>,
    pub(super) services: Vec<(ServiceKey, ServiceRecord)>,
    pub(super) gone_services: Vec<ServiceKey>,
    pub(super) gone_tables: Vec<ServiceId>,
    pub(super) gone_backends: Vec<BackendId>,
}

impl<'a> Writes<'a> {
    /// From a list in any order.
    pub(super) fn of(steps: &'a [Step]) -> Self {
        let mut sorted = Self::default();
        for step in steps {
            match step {
                Step::PutBackend(id, record) => {
                    sorted.backends.push((*id, record::backend(record)));
                }
                Step::PutTable(id, table) => sorted.tables.push((*id, table)),
                Step::PutService(key, record) => sorted.services.push((*key, *record)),
                Step::RemoveService(key) => sorted.gone_services.push(*key),
                Step::RemoveTable(id) => sorted.gone_tables.push(*id),
                Step::RemoveBackend(id) => sorted.gone_backends.push(*id),
            }
        }
        sorted
    }
}
