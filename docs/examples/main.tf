# A web server behind one anycast address, in two cities: three instances in each, four under load.
#
#   lbctl workload plan    -f main.tf
#   lbctl workload apply   -f main.tf
#   lbctl workload destroy -f main.tf

terraform {
  required_providers {
    stackpath = {
      source = "stackpath/stackpath"
    }
  }
}

# Credentials of a provider need no values here: the fleet file says which sites run the workload.
variable "stackpath_stack_id" {}
variable "stackpath_client_id" {}
variable "stackpath_client_secret" {
  sensitive = true
}

# -var image=..., TF_VAR_image, or a .tfvars file.
variable "image" {
  type    = string
  default = "web:latest"
}

provider "stackpath" {
  stack_id      = var.stackpath_stack_id
  client_id     = var.stackpath_client_id
  client_secret = var.stackpath_client_secret
}

resource "stackpath_compute_workload" "my-anycast-workload" {
  name = "my-anycast-workload"
  slug = "my-anycast-workload"

  annotations = {
    # Asks for an anycast address, the same in all cities.
    "anycast.platform.stackpath.net" = "true"
  }

  network_interface {
    network = "default"
  }

  container {
    name  = "app"
    image = var.image

    # Reachable through the anycast address; no other port is.
    port {
      name                           = "web"
      port                           = 8000
      protocol                       = "TCP"
      enable_implicit_network_policy = true
    }

    resources {
      requests = {
        "cpu"    = "1"
        "memory" = "2Gi"
      }
    }

    env {
      key   = "PYTHONUNBUFFERED"
      value = "1"
    }

    # Takes packets only while it answers.
    readiness_probe {
      http_get {
        port = 8000
        path = "/"
      }
      period_seconds    = 1
      success_threshold = 1
      failure_threshold = 2
    }

    # Is restarted when it does not.
    liveness_probe {
      tcp_socket {
        port = 8000
      }
      period_seconds        = 5
      failure_threshold     = 4
      initial_delay_seconds = 10
    }
  }

  target {
    name         = "global"
    min_replicas = 3
    max_replicas = 4

    scale_settings {
      metrics {
        metric = "cpu"
        # One more instance in a city whose CPUs are busier than this, in percent.
        average_utilization = 50
      }
    }

    deployment_scope = "cityCode"
    selector {
      key      = "cityCode"
      operator = "in"
      values   = ["DFW", "SEA"]
    }
  }
}

output "anycast-address" {
  value = stackpath_compute_workload.my-anycast-workload.annotations["anycast.platform.stackpath.net/subnets"]
}
