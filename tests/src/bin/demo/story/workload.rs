//! The workload file of the story, as its owner would write it.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use testbed::{Runs, World, workload_directory};

/// The workload's slug.
pub(crate) const SLUG: &str = "my-anycast-workload";

/// Its directory, with the workload file and, for containers, a Dockerfile beside it.
pub(crate) struct WorkloadFile {
    directory: PathBuf,
    command: String,
}

impl WorkloadFile {
    /// Writes it for three to four instances in each city.
    pub(crate) fn write(world: &World, runs: Runs) -> Result<WorkloadFile> {
        let (directory, command) = workload_directory(world, runs)?;
        let file = WorkloadFile { directory, command };
        file.set_min_replicas(3)?;
        Ok(file)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("main.tf")
    }

    /// Edits `min_replicas`.
    pub(crate) fn set_min_replicas(&self, min_replicas: usize) -> Result<()> {
        fs::write(self.path(), self.text(min_replicas))?;
        Ok(())
    }

    fn text(&self, min_replicas: usize) -> String {
        let command = &self.command;
        format!(
            r#"resource "stackpath_compute_workload" "{SLUG}" {{
  name = "{SLUG}"
  slug = "{SLUG}"

  annotations = {{
    "anycast.platform.stackpath.net" = "true"
  }}

  network_interface {{
    network = "default"
  }}

  container {{
    name    = "app"
    image   = "web:1"
    command = ["{command}", "--port", "8000", "--log"]

    port {{
      name                           = "http"
      port                           = 8000
      protocol                       = "TCP"
      enable_implicit_network_policy = true
    }}

    resources {{
      # Small, so that two cores are enough for eight of them.
      requests = {{
        "cpu"    = "200m"
        "memory" = "128Mi"
      }}
    }}

    readiness_probe {{
      http_get {{
        path = "/"
        port = 8000
      }}
      period_seconds    = 1
      success_threshold = 1
      failure_threshold = 3
    }}
  }}

  target {{
    name         = "global"
    min_replicas = {min_replicas}
    max_replicas = 4

    scale_settings {{
      metrics {{
        metric              = "cpu"
        average_utilization = 50
      }}
    }}

    deployment_scope = "cityCode"
    selector {{
      key      = "cityCode"
      operator = "in"
      values   = ["DFW", "SEA"]
    }}
  }}
}}
"#
        )
    }
}
