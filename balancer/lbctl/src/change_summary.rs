//! What a change did, in words.

use balancer_api::{replies::ChangeReply, views::OutcomeView};

use super::table::count;

/// How one change is told.
pub(super) struct ChangeSummary {
    /// What it is about: a service's name, or a file.
    pub(super) subject: String,
    /// What happened: `backend 10.1.0.10 added`.
    pub(super) done: String,
    /// What would have happened: `backend 10.1.0.10 would be added`.
    pub(super) would: String,
}

impl ChangeSummary {
    /// One line with what happened, and a line for each note.
    pub(super) fn lines(&self, reply: &ChangeReply) -> String {
        let ChangeReply {
            generation,
            dry_run,
            outcome,
            ..
        } = reply;
        let Self {
            subject,
            done,
            would,
        } = self;
        let mut lines = match (outcome.changed, dry_run) {
            (false, false) => format!(
                "{subject}: nothing to change, generation {}\n",
                count(*generation)
            ),
            (false, true) => format!("{subject}: nothing would change\n"),
            (true, false) => {
                format!(
                    "{subject}: {done}, generation {}, {}\n",
                    count(*generation),
                    moved(outcome)
                )
            }
            (true, true) => format!(
                "{subject}: {would}, {}; nothing was changed\n",
                would_move(outcome)
            ),
        };
        for note in &outcome.notes {
            lines.push_str(&format!("note: {note}\n"));
        }
        lines
    }
}

fn moved(outcome: &OutcomeView) -> String {
    let OutcomeView {
        moved_slots,
        total_slots,
        minimum_moved_slots,
        ..
    } = outcome;
    if *total_slots == 0 {
        return "no slots move".to_owned();
    }
    format!(
        "{} of {} slots move (minimum {})",
        count(*moved_slots as u64),
        count(*total_slots as u64),
        count(*minimum_moved_slots as u64)
    )
}

fn would_move(outcome: &OutcomeView) -> String {
    let OutcomeView {
        moved_slots,
        total_slots,
        minimum_moved_slots,
        ..
    } = outcome;
    if *total_slots == 0 {
        return "no slots would move".to_owned();
    }
    format!(
        "{} of {} slots ({}) would move, the minimum possible is {} ({})",
        count(*moved_slots as u64),
        count(*total_slots as u64),
        share(*moved_slots, *total_slots),
        count(*minimum_moved_slots as u64),
        share(*minimum_moved_slots, *total_slots)
    )
}

/// `25.00 %`.
fn share(part: usize, whole: usize) -> String {
    format!("{:.2} %", 100.0 * part as f64 / whole as f64)
}
