//! Making, restarting and removing an instance's containers.

use std::collections::HashMap;

use bollard::{
    errors::Error,
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        RenameContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures::future::try_join_all;

use super::{
    Docker,
    container::{INSTANCE, Part, body, container_name, digest},
    is_missing,
};
use crate::runtime::{GRACE_SECONDS, InstanceSpec, RuntimeError};

impl Docker {
    pub(super) async fn launch_instance(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        spec.check()?;
        let parts = self.parts(Some(&spec.name)).await?;
        if self.is_whole(&parts).await? {
            return match parts[0].spec == digest(spec) {
                true => Ok(()),
                false => Err(RuntimeError::Exists {
                    instance: spec.name.clone(),
                }),
            };
        }
        self.discard(&parts).await?;
        self.ensure_network().await?;
        let made = self.make(spec).await;
        if made.is_err() {
            // The error of the launch is the one to tell; a part that stays is cleaned by the next.
            if let Ok(parts) = self.parts(Some(&spec.name)).await {
                let _ = self.discard(&parts).await;
            }
        }
        made
    }

    async fn make(&self, spec: &InstanceSpec) -> Result<(), RuntimeError> {
        let mut ids: Vec<String> = Vec::new();
        for (index, container) in spec.containers.iter().enumerate() {
            let name = container_name(&spec.name, container.name.as_str(), index, 0);
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let body = body(spec, index, &self.network, ids.first().map(String::as_str));
            let created = self.client.create_container(Some(options), body).await;
            let created = created.map_err(|error| match error {
                error if is_missing(&error) => RuntimeError::NoImage {
                    image: container.image.clone(),
                    reason: "the engine's store has no such image".to_owned(),
                },
                error => self.refused(format!("create {name}"))(error),
            })?;
            ids.push(created.id);
        }
        for (id, container) in ids.iter().zip(&spec.containers) {
            let started = self.client.start_container(id, None).await;
            started.map_err(|error| self.not_started(spec, container, error))?;
        }
        Ok(())
    }

    fn not_started(
        &self,
        spec: &InstanceSpec,
        container: &balancer_config::workload::Container,
        error: Error,
    ) -> RuntimeError {
        match error {
            // Its words for a program that is missing or none.
            Error::DockerResponseServerError { message, .. } if message.contains("exec") => {
                RuntimeError::NoCommand {
                    instance: spec.name.clone(),
                    container: container.name.to_string(),
                    program: container.command.first().cloned().unwrap_or_default(),
                    reason: message,
                }
            }
            error => self.refused(format!("start {} of {}", container.name, spec.name))(error),
        }
    }

    pub(super) async fn restart_instance(&self, name: &str) -> Result<(), RuntimeError> {
        let parts = self.existing(name).await?;
        try_join_all(parts.iter().map(|part| self.stop(part))).await?;
        // Counted first: an interrupted restart is counted, and the next one starts what does not run.
        let owner = &parts[0];
        let renamed = container_name(name, &owner.container, 0, owner.restarts + 1);
        let options = RenameContainerOptionsBuilder::default()
            .name(&renamed)
            .build();
        let counted = self.client.rename_container(&owner.id, options).await;
        counted.map_err(self.refused(format!("count a restart of {name}")))?;
        for part in &parts {
            let started = self.client.start_container(&part.id, None).await;
            started.map_err(self.refused(format!("start {} of {name}", part.container)))?;
        }
        Ok(())
    }

    pub(super) async fn remove_instance(&self, name: &str) -> Result<(), RuntimeError> {
        let parts = self.parts(Some(name)).await?;
        try_join_all(parts.iter().map(|part| self.stop(part))).await?;
        self.discard(&parts).await
    }

    async fn stop(&self, part: &Part) -> Result<(), RuntimeError> {
        let grace = i32::try_from(GRACE_SECONDS).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(grace).build();
        match self.client.stop_container(&part.id, Some(options)).await {
            Err(error) if !is_missing(&error) && !is_unchanged(&error) => Err(self
                .refused(format!("stop {} of {}", part.container, part.instance))(
                error
            )),
            _ => Ok(()),
        }
    }

    /// Removes containers at once, those that share a network before its owner.
    async fn discard(&self, parts: &[Part]) -> Result<(), RuntimeError> {
        for part in parts.iter().rev() {
            let options = RemoveContainerOptionsBuilder::default()
                .force(true)
                .v(true)
                .build();
            match self.client.remove_container(&part.id, Some(options)).await {
                Err(error) if !is_missing(&error) => {
                    let what = format!("remove {} of {}", part.container, part.instance);
                    return Err(self.refused(what)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The containers of one instance, or of all: in order of instances, and of containers in each.
    pub(super) async fn parts(&self, instance: Option<&str>) -> Result<Vec<Part>, RuntimeError> {
        let label = match instance {
            Some(name) => format!("{INSTANCE}={name}"),
            None => INSTANCE.to_owned(),
        };
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self.client.list_containers(Some(options)).await;
        let listed = listed.map_err(self.refused("list the instances"))?;
        let mut parts: Vec<Part> = listed.into_iter().filter_map(Part::read).collect();
        parts.sort_by(|a, b| (&a.instance, a.index).cmp(&(&b.instance, b.index)));
        Ok(parts)
    }

    pub(super) async fn existing(&self, name: &str) -> Result<Vec<Part>, RuntimeError> {
        let parts = self.parts(Some(name)).await?;
        match parts.first().is_some_and(|first| first.index == 0) {
            true => Ok(parts),
            false => Err(RuntimeError::NoInstance {
                instance: name.to_owned(),
            }),
        }
    }

    /// Whether every container of an instance is there and was started at least once.
    async fn is_whole(&self, parts: &[Part]) -> Result<bool, RuntimeError> {
        let Some(first) = parts.first() else {
            return Ok(false);
        };
        if parts.len() != first.count {
            return Ok(false);
        }
        let seen = self.observe(parts).await?;
        Ok(seen.is_some_and(|seen| seen.state != crate::runtime::State::Incomplete))
    }
}

/// Whether the engine says that it had nothing to do.
fn is_unchanged(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 304,
            ..
        }
    )
}
