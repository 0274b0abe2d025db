use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

type Weights = BTreeMap<BackendId, u16>;

fn equal(ids: impl IntoIterator<Item = u16>) -> Weights {
    ids.into_iter().map(|id| (BackendId(id), 1)).collect()
}

/// What can be done to a table.
#[derive(Clone, Debug)]
enum Deed {
    Step(Weights),
    Grow,
    Without(BackendId),
}

fn weights() -> impl Strategy<Value = Weights> {
    prop::collection::btree_map((1..12u16).prop_map(BackendId), 0..20u16, 0..10)
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        8 => weights().prop_map(Deed::Step),
        1 => Just(Deed::Grow),
        2 => (1..12u16).prop_map(|id| Deed::Without(BackendId(id))),
    ];
    prop::collection::vec(deed, 0..12)
}

fn after(deeds: &[Deed]) -> Table {
    deeds
        .iter()
        .fold(Table::empty(256), |table, deed| match deed {
            Deed::Step(weights) => table.step(weights),
            Deed::Grow => table.grown((table.slots() * 2).min(2_048)),
            Deed::Without(id) => table.without(*id),
        })
}

proptest! {
    // Promise: T1
    #[test]
    fn every_slot_has_an_owner_with_a_weight_when_there_is_one(
        deeds in deeds(), weights in weights()
    ) {
        let table = after(&deeds).step(&weights);
        if weights.values().any(|&weight| weight > 0) {
            let owned = table.owners().iter().all(|owner| weights.get(owner).is_some_and(|&w| w > 0));
            prop_assert!(owned, "{:?}", table.shares());
        }
    }

    // Promise: T2
    #[test]
    fn shares_are_those_of_the_weights_to_one_slot(deeds in deeds(), weights in weights()) {
        let table = after(&deeds).step(&weights);
        let total: f64 = weights.values().map(|&weight| f64::from(weight)).sum();
        let shares = table.shares();
        if total > 0.0 {
            for (id, &weight) in &weights {
                let exact = table.slots() as f64 * f64::from(weight) / total;
                let share = shares.get(id).copied().unwrap_or(0) as f64;
                prop_assert!((share - exact).abs() < 1.0, "{id:?}: {share} of {exact}");
            }
        }
    }

    // Promise: T3
    #[test]
    fn no_slot_moves_that_need_not(deeds in deeds(), weights in weights()) {
        let before = after(&deeds);
        let next = before.step(&weights);
        let minimum = minimum_moved(&before, before.slots(), &weights);
        prop_assert_eq!(moved(&before, &next), minimum);
        prop_assert_eq!(next.step(&weights), next);
    }

    // Promise: T5
    #[test]
    fn a_moved_slot_remembers_its_owners_newest_first(deeds in deeds(), weights in weights()) {
        let before = after(&deeds);
        let next = before.step(&weights);
        for slot in 0..before.slots() {
            let (owner, old) = (next.owners[slot], before.owners[slot]);
            if owner == old {
                prop_assert_eq!(next.history[slot], before.history[slot]);
                continue;
            }
            // The old owner, then the old history, without the new owner and without nobody.
            let mut expected: Vec<BackendId> = vec![old];
            expected.extend(before.history[slot]);
            expected.retain(|&id| id != NOBODY && id != owner);
            expected.resize(HISTORY, NOBODY);
            expected.truncate(HISTORY);
            prop_assert_eq!(next.history[slot].to_vec(), expected);
        }
    }

    // Promise: T5
    #[test]
    fn a_history_names_nobody_twice_and_never_the_owner(deeds in deeds()) {
        let table = after(&deeds);
        for (owner, history) in table.owners().iter().zip(table.history()) {
            let named: Vec<_> = history.iter().take_while(|&&id| id != NOBODY).collect();
            prop_assert!(history[named.len()..].iter().all(|&id| id == NOBODY), "{history:?}");
            prop_assert!(!named.contains(&owner), "{owner:?} in {history:?}");
            prop_assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());
        }
    }

    // Promise: T4
    #[test]
    fn the_same_changes_give_the_same_table(deeds in deeds()) {
        prop_assert_eq!(after(&deeds), after(&deeds));
    }

    // Promise: T3
    #[test]
    fn a_flow_keeps_owner_and_history_when_its_table_grows(deeds in deeds(), hash: u64) {
        let table = after(&deeds);
        let grown = table.grown(table.slots() * 4);
        let (parent, child) = (table.slot_of(hash), grown.slot_of(hash));
        prop_assert_eq!(child / 4, parent);
        prop_assert_eq!(grown.owners()[child], table.owners()[parent]);
        prop_assert_eq!(grown.history()[child], table.history()[parent]);
    }

    #[test]
    fn a_table_without_a_backend_names_it_nowhere(deeds in deeds(), id in 1..12u16) {
        let (before, id) = (after(&deeds), BackendId(id));
        let table = before.without(id);
        let named = |table: &Table| table.owners.contains(&id) || table.history.iter().any(|h| h.contains(&id));
        prop_assert!(!named(&table));
        if !named(&before) {
            prop_assert_eq!(table, before);
        }
    }

    #[test]
    fn a_stored_table_reads_back_as_it_was(deeds in deeds()) {
        let table = after(&deeds);
        let json = serde_json::to_string(&table).unwrap();
        prop_assert_eq!(serde_json::from_str::<Table>(&json).unwrap(), table);
    }
}

#[test]
fn without_a_weight_the_owners_stay() {
    let table = Table::empty(256).step(&equal([1, 2]));
    assert_eq!(table.step(&Weights::new()), table);
    assert_eq!(table.step(&Weights::from([(BackendId(1), 0)])), table);
    let empty = Table::empty(256);
    assert_eq!(empty.step(&Weights::new()), empty);
}

// Promise: E1
#[test]
fn a_flow_finds_its_slot_by_the_high_bits_of_its_hash() {
    let table = Table::empty(256);
    assert_eq!(table.slot_of(0), 0);
    assert_eq!(table.slot_of(0x0100_0000_0000_0000), 1);
    assert_eq!(table.slot_of(0x00ff_ffff_ffff_ffff), 0);
    assert_eq!(table.slot_of(u64::MAX), 255);
    assert_eq!(Table::empty(1).slot_of(u64::MAX), 0);
}

/// Tables must not change from one release to the next: edges of both would disagree.
// Promise: T4
#[test]
fn a_table_is_the_same_in_every_release() {
    let table = Table::empty(16)
        .step(&equal([1, 2, 3]))
        .step(&equal([1, 2, 4]));
    assert_eq!(
        serde_json::to_string(&table).unwrap(),
        r#"{"owners":[2,1,1,1,2,4,2,1,1,1,2,4,4,2,4,4],"history":[[5,3],[11,3],[12,3],[14,3],[15,3]]}"#
    );
}

// Promise: T7
#[test]
fn the_slots_of_a_leaver_spread_evenly_over_the_table_and_the_others() {
    let before = Table::empty(4_096).step(&equal(1..=16));
    let after = before.step(&equal((1..=16).filter(|&id| id != 7)));
    let gone: Vec<usize> = (0..4_096)
        .filter(|&slot| before.owners[slot] == BackendId(7))
        .collect();
    assert_eq!(gone.len(), 256);

    let mut receivers = BTreeMap::new();
    let mut parts = [0usize; 16];
    for &slot in &gone {
        *receivers.entry(after.owners[slot]).or_insert(0usize) += 1;
        parts[slot / 256] += 1;
    }
    // 256 over 15 receivers: exactly 17 or 18 each.
    assert_eq!(receivers.len(), 15);
    assert!(
        receivers.values().all(|count| (17..=18).contains(count)),
        "{receivers:?}"
    );
    // About 16 in each sixteenth of the table; a standard deviation is 4.
    assert!(
        parts.iter().all(|count| (3..=29).contains(count)),
        "{parts:?}"
    );
}

#[test]
fn two_leavers_give_to_all_newcomers_alike() {
    let before = Table::empty(4_096).step(&equal(1..=8));
    let after = before.step(&equal(3..=10));
    for leaver in [1, 2] {
        for newcomer in [9, 10] {
            let pairs = before.owners.iter().zip(&after.owners);
            let given = pairs.filter(|&pair| pair == (&BackendId(leaver), &BackendId(newcomer)));
            // 512 slots, by halves; a standard deviation is 8 (drawn without replacement).
            let given = given.count();
            assert!(
                (216..=296).contains(&given),
                "{leaver} gave {given} to {newcomer}"
            );
        }
    }
}

#[test]
fn a_newcomer_takes_alike_from_all_and_from_everywhere() {
    let before = Table::empty(4_096).step(&equal(1..=15));
    let after = before.step(&equal(1..=16));
    let mut parts = [0usize; 16];
    for slot in (0..4_096).filter(|&slot| after.owners[slot] == BackendId(16)) {
        parts[slot / 256] += 1;
    }
    assert_eq!(parts.iter().sum::<usize>(), 256);
    assert!(
        parts.iter().all(|count| (3..=29).contains(count)),
        "{parts:?}"
    );
}

// Promise: T6
#[test]
fn slots_return_to_a_backend_that_comes_back() {
    let before = Table::empty(1_024).step(&equal(1..=8));
    let away = before.step(&equal(2..=8));
    let back = away.step(&equal(1..=8));
    assert_eq!(back.owners, before.owners);
}

// Promise: T5
#[test]
fn no_owner_is_forgotten_in_a_rolling_restart_of_ten_backends() {
    let mut table = Table::empty(1_024).step(&equal(1..=10));
    let first = table.clone();
    for restarted in 1..=10 {
        table = table.step(&equal((1..=10).filter(|&id| id != restarted)));
        table = table.step(&equal(1..=10));
    }
    for slot in 0..1_024 {
        let owner = first.owners[slot];
        assert!(table.owners[slot] == owner || table.history[slot].contains(&owner));
    }
}

#[test]
fn a_stored_table_that_breaks_its_own_rules_is_refused() {
    let refusal = |json: &str| serde_json::from_str::<Table>(json).unwrap_err().to_string();
    assert!(refusal(r#"{"owners":[1,2,3],"history":[]}"#).contains("expected a power of two"));
    assert!(refusal(r#"{"owners":[],"history":[]}"#).contains("expected a power of two"));
    for row in [
        "[2,1]",
        "[0,0]",
        "[0,1]",
        "[0,2,2]",
        "[0,65537]",
        "[0,2],[0,3]",
    ] {
        let json = format!(r#"{{"owners":[1,2],"history":[{row}]}}"#);
        assert!(
            refusal(&json).contains("history of slot"),
            "{row}: {}",
            refusal(&json)
        );
    }
    for row in ["[]", "[0]", "[0,2,3,4,5]"] {
        let json = format!(r#"{{"owners":[1,2],"history":[{row}]}}"#);
        assert!(refusal(&json).contains("history"), "{row}");
    }
}

// Promise: T7
#[test]
fn a_second_leaver_leaves_most_substitutes_of_the_first_alone() {
    let base = Table::empty(1_024).step(&equal(1..=10));
    let without_one = base.step(&equal(2..=10));
    let without_two = base.step(&equal(3..=10));
    let of_one = (0..1_024).filter(|&slot| base.owners[slot] == BackendId(1));
    let (kept, moved): (Vec<_>, Vec<_>) = of_one
        .filter(|&slot| without_one.owners[slot] != BackendId(2))
        .partition(|&slot| without_one.owners[slot] == without_two.owners[slot]);
    // Dealt out without regard to the slot it would be one in eight.
    assert!(
        kept.len() > 3 * moved.len(),
        "{} of {} moved",
        moved.len(),
        kept.len() + moved.len()
    );
}
