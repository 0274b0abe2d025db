//! A table as it is stored: owners in order, and only the histories that there are.

use serde::{Deserialize, Serialize};

use super::{HISTORY, NOBODY, Table};
use crate::model::BackendId;

/// A table's stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compact {
    /// The owner of each slot; 0 is nobody.
    owners: Vec<BackendId>,
    /// A slot's number, then its earlier owners, newest first.
    history: Vec<Vec<u32>>,
}

impl From<Table> for Compact {
    fn from(table: Table) -> Compact {
        let history = (0..)
            .zip(&table.history)
            .filter(|(_, earlier)| earlier[0] != NOBODY)
            .map(|(slot, earlier)| {
                let ids = earlier
                    .iter()
                    .filter(|&&id| id != NOBODY)
                    .map(|id| id.0.into());
                std::iter::once(slot).chain(ids).collect()
            });
        Compact {
            history: history.collect(),
            owners: table.owners,
        }
    }
}

impl TryFrom<Compact> for Table {
    type Error = String;

    fn try_from(compact: Compact) -> Result<Table, String> {
        let slots = compact.owners.len();
        if !slots.is_power_of_two() {
            return Err(format!("a table of {slots} slots: expected a power of two"));
        }
        let mut table = Table::empty(slots);
        table.owners = compact.owners;
        for row in compact.history {
            let [slot, earlier @ ..] = row.as_slice() else {
                return Err("an empty history row: expected a slot's number and its owners".into());
            };
            let place = usize::try_from(*slot)
                .ok()
                .filter(|&slot| slot < slots && table.history[slot][0] == NOBODY)
                .ok_or_else(|| format!("history of slot {slot}: out of range, or given twice"))?;
            if !(1..=HISTORY).contains(&earlier.len()) {
                return Err(format!(
                    "history of slot {slot}: expected 1 to {HISTORY} owners"
                ));
            }
            for (nth, &id) in earlier.iter().enumerate() {
                let id = u16::try_from(id).map(BackendId).unwrap_or(NOBODY);
                let known = id == table.owners[place] || table.history[place].contains(&id);
                if id == NOBODY || known {
                    return Err(format!(
                        "history of slot {slot}: an owner is 0, too large, or named twice"
                    ));
                }
                table.history[place][nth] = id;
            }
        }
        Ok(table)
    }
}
