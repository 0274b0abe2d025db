//! `lbctl edge status`.

use balancer_api::{replies::ListReply, views::StatusView};
use clap::Args;

use crate::{
    Context,
    failure::Failure,
    table::{Side::Left, table},
};

/// Show whether this edge is drained, and which VIPs routers are told of
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lbctl edge status
  lbctl -o json edge status | jq '.items[0].announce.vips'")]
pub(super) struct Status {}

impl Status {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let reply = context.client.status().await?;
        context.show(&reply, text)
    }
}

fn text(reply: &ListReply<StatusView>) -> String {
    reply.items.iter().map(one).collect()
}

fn one(status: &StatusView) -> String {
    let drained = if status.drained { "yes" } else { "no" };
    let mut text = format!("{:<12}{drained}\n", "drained");
    let Some(announce) = &status.announce else {
        text.push_str(&format!(
            "{:<12}none; add a section [announce] to edge.toml, and routers are told of VIPs\n",
            "speaker"
        ));
        return text;
    };
    text.push_str(&format!("{:<12}{}\n", "speaker", announce.speaker));
    if let Some(error) = &announce.error {
        text.push_str(&format!("{:<12}{error}\n", "error"));
    }
    text.push('\n');
    text.push_str(&table(
        [("VIP", Left), ("ANNOUNCED", Left), ("WHY NOT", Left)],
        announce.vips.iter().map(|vip| {
            let announced = if vip.announced { "yes" } else { "no" };
            let why = match (&vip.withheld, vip.announced) {
                (Some(why), _) => why.as_str(),
                (None, true) => "-",
                (None, false) => "the speaker has not confirmed it yet",
            };
            [vip.vip.to_string(), announced.to_owned(), why.to_owned()]
        }),
    ));
    text
}
