//! `lbctl services list`.

use balancer_api::{replies::ListReply, views::ServiceView};
use balancer_core::model::ServiceKey;
use clap::Args;

use crate::{
    Context,
    failure::Failure,
    table::{
        Side::{Left, Right},
        bytes, count, table,
    },
};

/// List the services
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl services list
  lbctl -o json services list | jq -r '.items[].name'")]
pub(super) struct List {}

impl List {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = context.client.services().await?;
        context.show(&reply, text)
    }
}

fn text(reply: &ListReply<ServiceView>) -> String {
    if reply.items.is_empty() {
        return "no services; `lbctl services add` adds one\n".to_owned();
    }
    let columns = [
        ("SERVICE", Left),
        ("PACKETS TO", Left),
        ("ENCAPSULATION", Left),
        ("ACTIVE", Right),
        ("SLOTS", Right),
        ("GENERATION", Right),
        ("PACKETS", Right),
        ("BYTES", Right),
        ("CHECK", Left),
    ];
    let mut lines = table(columns, reply.items.iter().map(row));
    for service in reply.items.iter().filter(|service| service.fails_open) {
        lines.push_str(&format!(
            "WARNING: {} FAILS OPEN: none of its backends is usable, so all get packets\n",
            service.name
        ));
    }
    lines
}

fn row(service: &ServiceView) -> [String; 9] {
    let key = ServiceKey {
        vip: service.vip,
        port: service.port,
        protocol: service.protocol,
    };
    [
        service.name.to_string(),
        key.to_string(),
        service.encapsulation.to_string(),
        format!(
            "{} of {}",
            count(service.active as u64),
            count(service.backends as u64)
        ),
        count(service.slots as u64),
        count(service.generation),
        count(service.packets),
        bytes(service.bytes),
        if service.check.is_empty() {
            "-".to_owned()
        } else {
            service.check.clone()
        },
    ]
}
