//! What packets have met before stays in histories.

use super::*;

// Promise: M5
#[test]
fn a_substitute_is_remembered_when_the_owner_comes_back() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let plan = |up_ids: &[u16]| plan(&state, &up(up_ids), &hops(&[1, 2, 3]));
    let previous = plan(&[1, 2]).after(&plan(&[1, 2, 3]));
    let back = plan(&[1, 2, 3]).after(&previous);
    let (previous, back) = (&previous.tables[&ServiceId(0)], &back.tables[&ServiceId(0)]);
    assert_eq!(back.owners(), web(&state).table.owners());
    let mut moved = 0;
    for slot in 0..back.slots() {
        if previous.owners()[slot] != back.owners()[slot] {
            assert_eq!(back.history()[slot][0], previous.owners()[slot]);
            moved += 1;
        }
    }
    assert!(moved > 0);
}

// Promise: M5
#[test]
fn planning_again_after_what_was_met_changes_nothing() {
    let state = edge(&[service("web", 10, true, &[1, 2, 3])]);
    let plan = |up_ids: &[u16]| plan(&state, &up(up_ids), &hops(&[1, 2, 3]));
    let previous = plan(&[1, 2, 3]).after(&plan(&[1, 2]).after(&plan(&[3])));
    assert_eq!(plan(&[1, 2, 3]).after(&previous), previous);
}

#[test]
fn a_backend_that_is_gone_or_is_another_now_is_in_no_history() {
    let state = edge(&[service("web", 10, true, &[1, 2])]);
    let before = plan(&state, &up(&[1]), &hops(&[1, 2]));
    let after = plan(&state, &up(&[2]), &hops(&[1, 2]));
    let remembers = |after: Plan| {
        let table = &after.after(&before).tables[&ServiceId(0)];
        table.history().as_flattened().contains(&BackendId(1))
    };
    let mut base = after.clone();
    base.tables
        .insert(ServiceId(0), Arc::new(Table::empty(256)));
    assert!(remembers(base.clone()));
    let mut gone = base.clone();
    gone.backends.remove(&BackendId(1));
    assert!(!remembers(gone));
    let mut another = base;
    another.backends.get_mut(&BackendId(1)).unwrap().address = address(9);
    assert!(!remembers(another));
}
