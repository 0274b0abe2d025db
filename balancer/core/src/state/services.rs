//! The services of a state, and how a change edits them.

use std::{collections::BTreeSet, ops::Index, sync::Arc};

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use super::ServiceState;
use crate::model::ServiceName;

/// Services by name. A copy costs nothing: it shares every service, and what is edited afterwards is no longer shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Services(RedBlackTreeMapSync<ServiceName, Arc<ServiceState>>);

impl Services {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The service of this name.
    pub fn get(&self, name: &ServiceName) -> Option<&Arc<ServiceState>> {
        self.0.get(name)
    }

    /// Whether there is a service of this name.
    pub fn contains(&self, name: &ServiceName) -> bool {
        self.0.contains_key(name)
    }

    /// Names and services, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Arc<ServiceState>)> {
        self.0.iter()
    }

    /// The names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.0.keys()
    }

    /// The services, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Arc<ServiceState>> {
        self.0.values()
    }
}

impl Index<&ServiceName> for Services {
    type Output = Arc<ServiceState>;

    /// # Panics
    ///
    /// When there is no such service.
    fn index(&self, name: &ServiceName) -> &Arc<ServiceState> {
        self.get(name).expect("there is such a service")
    }
}

/// Services while a change edits them.
pub(super) struct Edits<'a> {
    before: &'a Services,
    services: Services,
    /// Those that were looked at to be edited, new ones, and those that are gone.
    touched: BTreeSet<ServiceName>,
}

impl<'a> Edits<'a> {
    /// Edits of `before`, none yet.
    pub(super) fn of(before: &'a Services) -> Self {
        Self {
            before,
            services: before.clone(),
            touched: BTreeSet::new(),
        }
    }

    /// The services as they were.
    pub(super) fn before(&self) -> &'a Services {
        self.before
    }

    /// The services as they are now.
    pub(super) fn now(&self) -> &Services {
        &self.services
    }

    /// A service to be edited.
    pub(super) fn get_mut(&mut self, name: &ServiceName) -> Option<&mut ServiceState> {
        let service = self.services.0.get_mut(name)?;
        self.touched.insert(name.clone());
        Some(Arc::make_mut(service))
    }

    /// Adds a service.
    pub(super) fn insert(&mut self, service: ServiceState) {
        let name = &service.service.name;
        self.touched.insert(name.clone());
        (self.services.0).insert_mut(name.clone(), Arc::new(service));
    }

    /// Takes a service out.
    pub(super) fn remove(&mut self, name: &ServiceName) {
        if self.services.0.remove_mut(name) {
            self.touched.insert(name.clone());
        }
    }

    /// The names of services that are new, gone or otherwise than before; those that were only looked at are shared again.
    pub(super) fn differing(&mut self) -> BTreeSet<ServiceName> {
        let mut differing = std::mem::take(&mut self.touched);
        differing.retain(
            |name| match (self.before.get(name), self.services.get(name)) {
                (Some(was), Some(is)) if was == is => {
                    self.services.0.insert_mut(name.clone(), Arc::clone(was));
                    false
                }
                (None, None) => false,
                _ => true,
            },
        );
        self.touched.clone_from(&differing);
        differing
    }

    /// The services, when all is edited.
    pub(super) fn done(self) -> Services {
        self.services
    }
}
