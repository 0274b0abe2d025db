//! The services of a state, and how a change edits them.

use std::{collections::BTreeSet, ops::Index, sync::Arc};

use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use super::{ServiceState, taken::Taken};
use crate::model::ServiceName;

/// Services by name. A copy costs nothing: it shares every service, and what is edited afterwards is no longer shared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "ByName", into = "ByName")]
pub struct Services {
    by_name: ByName,
    /// It follows from the services, and is neither stored nor compared.
    taken: Taken,
}

type ByName = RedBlackTreeMapSync<ServiceName, Arc<ServiceState>>;

impl From<ByName> for Services {
    fn from(by_name: ByName) -> Self {
        let taken = Taken::by(by_name.values().map(Arc::as_ref));
        Self { by_name, taken }
    }
}

impl From<Services> for ByName {
    fn from(services: Services) -> Self {
        services.by_name
    }
}

impl PartialEq for Services {
    fn eq(&self, other: &Self) -> bool {
        self.by_name == other.by_name
    }
}

impl Eq for Services {}

impl Services {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The service of this name.
    pub fn get(&self, name: &ServiceName) -> Option<&Arc<ServiceState>> {
        self.by_name.get(name)
    }

    /// Whether there is a service of this name.
    pub fn contains(&self, name: &ServiceName) -> bool {
        self.by_name.contains_key(name)
    }

    /// Names and services, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&ServiceName, &Arc<ServiceState>)> {
        self.by_name.iter()
    }

    /// The names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.by_name.keys()
    }

    /// The services, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &Arc<ServiceState>> {
        self.by_name.values()
    }

    /// What they have that no other may have.
    pub(super) fn taken(&self) -> &Taken {
        &self.taken
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
        let service = self.services.by_name.get_mut(name)?;
        self.touched.insert(name.clone());
        Some(Arc::make_mut(service))
    }

    /// Adds a service.
    pub(super) fn insert(&mut self, service: ServiceState) {
        let name = &service.service.name;
        self.touched.insert(name.clone());
        (self.services.by_name).insert_mut(name.clone(), Arc::new(service));
    }

    /// Takes a service out.
    pub(super) fn remove(&mut self, name: &ServiceName) {
        if self.services.by_name.remove_mut(name) {
            self.touched.insert(name.clone());
        }
    }

    /// The names of services that are new, gone or otherwise than before; those that were only looked at are shared again.
    pub(super) fn differing(&mut self) -> BTreeSet<ServiceName> {
        let mut differing = std::mem::take(&mut self.touched);
        differing.retain(
            |name| match (self.before.get(name), self.services.get(name)) {
                (Some(was), Some(is)) if was == is => {
                    self.services
                        .by_name
                        .insert_mut(name.clone(), Arc::clone(was));
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
    pub(super) fn done(mut self) -> Services {
        let Self {
            before,
            services: Services { by_name, taken },
            touched,
        } = &mut self;
        taken.follow(touched.iter().map(|name| {
            let (was, is) = (before.get(name), by_name.get(name));
            (was.map(Arc::as_ref), is.map(Arc::as_ref))
        }));
        self.services
    }
}
