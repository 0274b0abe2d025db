//! `lbctl status`.

use balancer_api::{
    replies::ListReply,
    views::{InterfaceStatus, StatusView, XdpAttachment},
};
use clap::Args;

use super::{
    Context,
    failure::Failure,
    table::{
        Side::{Left, Right},
        count, duration, table,
    },
};

/// Show how this edge is doing: its XDP program, its generation, and what became of packets
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl status
  lbctl status --all
  lbctl -o json status | jq '.items[0].reasons[] | select(.verdict == \"drop\")'")]
pub(super) struct Status {
    /// Show the reasons that no packet has met, too
    #[arg(long)]
    all: bool,
}

impl Status {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = context.client.status().await?;
        context.show(&reply, |reply| text(reply, self.all))
    }
}

fn text(reply: &ListReply<StatusView>, all: bool) -> String {
    reply.items.iter().map(|status| one(status, all)).collect()
}

fn one(status: &StatusView, all: bool) -> String {
    let mut text = String::new();
    for warning in loud(status)
        .into_iter()
        .chain(status.warnings.iter().cloned())
    {
        text.push_str(&format!("WARNING: {warning}\n"));
    }
    let lines = [
        ("interface", status.interface.clone()),
        ("attached", attached(status)),
        ("generation", count(status.generation)),
        ("uptime", duration(status.uptime_seconds)),
        ("services", count(status.services as u64)),
        ("backends", count(status.backends as u64)),
        ("announced", announced(status)),
        (
            "version",
            format!("{} (ABI {})", status.version, status.abi_version),
        ),
    ];
    for (what, value) in lines {
        text.push_str(&format!("{what:<12}{value}\n"));
    }
    text.push('\n');
    text.push_str(&reasons(status, all));
    text
}

fn attached(status: &StatusView) -> String {
    if status.xdp_mode == XdpAttachment::Detached {
        return "DETACHED".to_owned();
    }
    let taken_over = if status.taken_over {
        ", taken over as it ran"
    } else {
        ""
    };
    let modes = match status.interfaces.as_slice() {
        several @ [_, _, ..] => several.iter().map(mode).collect::<Vec<_>>().join(", "),
        _ => status.xdp_mode.to_string(),
    };
    format!("{modes}, program {}{taken_over}", status.program_id)
}

/// One of several.
fn mode(interface: &InterfaceStatus) -> String {
    let InterfaceStatus { name, xdp_mode, .. } = interface;
    match (xdp_mode, interface.up) {
        (XdpAttachment::Detached, _) => format!("{name} DETACHED"),
        (mode, false) => format!("{name} {mode} (down)"),
        (mode, true) => format!("{name} {mode}"),
    }
}

fn announced(status: &StatusView) -> String {
    let Some(announce) = &status.announce else {
        return "nothing: there is no section [announce]".to_owned();
    };
    let announced = announce.vips.iter().filter(|vip| vip.announced).count();
    format!(
        "{} of {} VIPs, by {}",
        count(announced as u64),
        count(announce.vips.len() as u64),
        announce.speaker
    )
}

/// What must not be overlooked.
fn loud(status: &StatusView) -> Option<String> {
    let slow: Vec<&str> = (status.interfaces.iter())
        .filter(|interface| interface.xdp_mode == status.xdp_mode)
        .map(|interface| interface.name.as_str())
        .collect();
    let interface = slow.join(", ");
    match status.xdp_mode {
        XdpAttachment::Generic => Some(format!(
            "GENERIC mode on {interface}: packets take the slow path; use an interface whose driver does native XDP"
        )),
        XdpAttachment::Detached => Some(format!(
            "DETACHED: no XDP program is on {interface}, this edge balances nothing; `systemctl restart lbd` attaches it"
        )),
        XdpAttachment::Native | XdpAttachment::Offload => None,
    }
}

fn reasons(status: &StatusView, all: bool) -> String {
    let shown: Vec<_> = status
        .reasons
        .iter()
        .filter(|count| all || count.packets > 0)
        .collect();
    if shown.is_empty() {
        return "no packets yet\n".to_owned();
    }
    table(
        [("REASON", Left), ("VERDICT", Left), ("PACKETS", Right)],
        shown.into_iter().map(|each| {
            [
                each.reason.clone(),
                each.verdict.to_string(),
                count(each.packets),
            ]
        }),
    )
}
