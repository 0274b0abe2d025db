//! `lbctl backends list`.

use balancer_api::{replies::ListReply, views::BackendView};
use balancer_core::model::ServiceName;
use clap::Args;

use crate::{
    Context,
    failure::Failure,
    table::{
        Side::{Left, Right},
        bytes, count, table,
    },
};

/// List the backends of one service, or of all
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl backends list
  lbctl -o json backends list web | jq -r '.items[] | select(.state == \"down\").address'")]
pub(super) struct List {
    /// Only this service's
    service: Option<ServiceName>,
}

impl List {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = context.client.backends(self.service.as_ref()).await?;
        context.show(&reply, text)
    }
}

fn text(reply: &ListReply<BackendView>) -> String {
    if reply.items.is_empty() {
        return "no backends; `lbctl backends add` adds one\n".to_owned();
    }
    let columns = [
        ("SERVICE", Left),
        ("BACKEND", Left),
        ("STATE", Left),
        ("HEALTH", Left),
        ("WEIGHT", Right),
        ("SLOTS", Right),
        ("PACKETS", Right),
        ("BYTES", Right),
        ("NEXT HOP", Left),
        ("LAST CHECK", Left),
    ];
    table(columns, reply.items.iter().map(row))
}

fn row(backend: &BackendView) -> [String; 10] {
    [
        backend.service.to_string(),
        backend.address.to_string(),
        backend.state.to_string(),
        backend.health.to_string(),
        count(backend.weight.into()),
        count(backend.slots as u64),
        count(backend.packets),
        bytes(backend.bytes),
        backend
            .next_hop
            .clone()
            .unwrap_or_else(|| "none".to_owned()),
        backend.last_check.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
