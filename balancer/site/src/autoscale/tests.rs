use proptest::prelude::*;

use super::*;

fn measured(request_millis: u64, used: u64) -> Sample {
    Sample {
        request_millis,
        usage: Usage::Measured(used),
    }
}

fn other(usage: Usage) -> Sample {
    Sample {
        request_millis: 1_000,
        usage,
    }
}

fn policy(min: u32, max: u32) -> Policy {
    Policy::new(min, max, 50)
}

fn busy(count: usize, percent: u64) -> Vec<Sample> {
    vec![measured(1_000, percent * 10); count]
}

/// What the formula says of so many ready instances at so many per cent, with a target of 50 %.
fn says(current: u32, samples: &[Sample]) -> u32 {
    demand(current, samples, 50, 10).replicas
}

#[test]
fn twice_the_target_doubles_and_half_of_it_halves() {
    // The documentation's example: 200m wanted 100m doubles, 50m halves.
    assert_eq!(demand(3, &[measured(1_000, 200); 3], 10, 10).replicas, 6);
    assert_eq!(demand(4, &[measured(1_000, 50); 4], 10, 10).replicas, 2);
    // The announcement of the configurable tolerance: 50 instances at 90 % with a target of 75 %.
    assert_eq!(demand(50, &busy(50, 90), 75, 10).replicas, 60);
}

#[test]
fn a_fraction_of_an_instance_is_an_instance() {
    assert_eq!(says(3, &busy(3, 60)), 4);
    assert_eq!(says(3, &busy(3, 30)), 2);
}

#[test]
fn within_a_tenth_of_the_target_nothing_changes() {
    for percent in [45, 50, 55] {
        assert_eq!(says(40, &busy(40, percent)), 40, "{percent} %");
    }
    assert_eq!(says(40, &busy(40, 56)), 45);
    assert_eq!(says(40, &busy(40, 44)), 36);
}

#[test]
fn utilisation_is_of_the_requests_together() {
    let samples = [measured(3_000, 3_000), measured(1_000, 0)];
    let demand = demand(2, &samples, 50, 10);
    assert_eq!(demand.utilization_percent, Some(75));
    assert_eq!(demand.replicas, 3);
}

#[test]
fn an_instance_without_a_measurement_uses_nothing_when_the_others_say_more() {
    let mut samples = busy(3, 70);
    samples.push(other(Usage::Missing));
    // 210 of 400 is near enough to the target; 210 of 300 would have asked for a fifth.
    assert_eq!(says(4, &samples), 4);
}

#[test]
fn an_instance_without_a_measurement_uses_the_target_when_the_others_say_fewer() {
    let mut samples = busy(3, 10);
    samples.push(other(Usage::Missing));
    // 10 + 10 + 10 + 50 of 400 is 20 %: two of four, where one of three would have done.
    assert_eq!(says(4, &samples), 2);
}

#[test]
fn an_instance_that_is_not_ready_uses_nothing_when_the_others_say_more() {
    let mut samples = busy(3, 70);
    samples.push(other(Usage::NotReady));
    // 210 of 400 is near enough to the target; 210 of 300 would have asked for a fifth.
    assert_eq!(says(4, &samples), 4);
}

#[test]
fn an_instance_that_is_not_ready_does_not_count_when_the_others_say_fewer() {
    let mut samples = busy(3, 20);
    samples.push(other(Usage::NotReady));
    assert_eq!(says(4, &samples), 2);
}

#[test]
fn assumptions_that_turn_the_direction_round_change_nothing() {
    let mut samples = busy(1, 80);
    samples.extend([other(Usage::NotReady); 3]);
    // 80 of 400 is 20 %: nobody takes instances away because three are still starting.
    assert_eq!(says(4, &samples), 4);
}

#[test]
fn the_plain_utilisation_is_told_whatever_was_assumed() {
    let mut samples = busy(1, 80);
    samples.push(other(Usage::Missing));
    let demand = demand(2, &samples, 50, 10);
    assert_eq!(demand.utilization_percent, Some(80));
}

#[test]
fn without_a_measurement_the_number_stays() {
    assert_eq!(says(3, &[]), 3);
    assert_eq!(says(3, &[other(Usage::Missing), other(Usage::NotReady)]), 3);
}

#[test]
fn fewer_only_when_the_whole_window_wanted_no_more() {
    let policy = policy(1, 10);
    let mut scaler = Autoscaler::default();
    let mut at = |second: u64, current: u32, percent: u64| {
        let samples = busy(current as usize, percent);
        let decision = scaler.decide(&policy, current, &samples, second * 1_000);
        decision.replicas
    };
    assert_eq!(at(0, 4, 50), 4);
    assert_eq!(at(15, 4, 70), 6);
    assert_eq!(at(30, 6, 5), 6);
    assert_eq!(at(200, 6, 35), 6);
    // Six was last wanted at 15 s; until 315 s it counts.
    assert_eq!(at(315, 6, 5), 6);
    // Then the highest of what was said since: five at 200 s.
    assert_eq!(at(316, 6, 5), 5);
    assert_eq!(at(501, 5, 5), 1);
}

#[test]
fn a_restarted_autoscaler_takes_nothing_away_for_a_whole_window() {
    let mut scaler = Autoscaler::default();
    let policy = policy(1, 10);
    for second in [0, 100, 300] {
        let decision = scaler.decide(&policy, 5, &busy(5, 1), second * 1_000);
        assert_eq!(decision.replicas, 5, "after {second} s");
    }
    assert_eq!(scaler.decide(&policy, 5, &busy(5, 1), 300_001).replicas, 1);
}

#[test]
fn growth_is_four_instances_or_a_doubling_in_fifteen_seconds() {
    for (current, reached) in [(1, 5), (3, 7), (4, 8), (10, 20)] {
        let mut scaler = Autoscaler::default();
        let samples = busy(current as usize, 1_000);
        let decision = scaler.decide(&policy(1, 100), current, &samples, 0);
        assert_eq!(decision.replicas, reached, "from {current}");
    }
}

#[test]
fn what_was_added_in_the_last_fifteen_seconds_counts_against_the_pace() {
    let mut scaler = Autoscaler::default();
    let policy = policy(1, 100);
    let mut at = |second: u64, current: u32| {
        let samples = busy(current as usize, 1_000);
        let decision = scaler.decide(&policy, current, &samples, second * 1_000);
        decision.replicas
    };
    assert_eq!(at(0, 1), 5);
    assert_eq!(at(5, 5), 5);
    assert_eq!(at(15, 5), 5);
    assert_eq!(at(16, 5), 10);
}

#[test]
fn a_higher_minimum_counts_at_once_and_a_lower_maximum_too() {
    let mut scaler = Autoscaler::default();
    let decision = scaler.decide(&policy(9, 10), 1, &busy(1, 50), 0);
    assert_eq!(decision.replicas, 9);
    let decision = scaler.decide(&policy(1, 2), 9, &busy(9, 50), 1);
    assert_eq!(decision.replicas, 2);
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let usage = prop_oneof![
        6 => (0u64..10_000).prop_map(Usage::Measured),
        1 => Just(Usage::Missing),
        1 => Just(Usage::NotReady),
    ];
    let sample = (1u64..4_000, usage).prop_map(|(request_millis, usage)| Sample {
        request_millis,
        usage,
    });
    prop::collection::vec(sample, 0..12)
}

proptest! {
    #[test]
    fn a_decision_never_leaves_the_limits(
        looks in prop::collection::vec((samples(), 0u64..60_000), 1..30),
        min in 0u32..5,
        more in 0u32..8,
        target in 1u32..200,
    ) {
        let policy = Policy::new(min, min + more, target);
        let mut scaler = Autoscaler::default();
        let (mut current, mut now) = (min, 0);
        for (samples, later) in looks {
            now += later;
            let decision = scaler.decide(&policy, current, &samples, now);
            prop_assert!((min..=min + more).contains(&decision.replicas));
            current = decision.replicas;
        }
    }

    #[test]
    fn noise_within_the_tolerance_changes_nothing(
        noise in prop::collection::vec(455u64..545, 1..60),
        count in 1u32..20,
    ) {
        let mut scaler = Autoscaler::default();
        for (look, used) in noise.into_iter().enumerate() {
            let samples = vec![measured(1_000, used); count as usize];
            let decision = scaler.decide(&policy(1, 50), count, &samples, look as u64 * 400_000);
            prop_assert_eq!(decision.replicas, count);
        }
    }

    #[test]
    fn a_constant_load_comes_to_rest_near_its_target(load in 1u64..20_000, start in 1u32..50) {
        comes_to_rest(load, start)?;
    }

    /// Measurements lose up to a thousandth of a CPU an instance, so that a load looks smaller to more instances.
    #[test]
    fn what_measurements_lose_never_makes_it_swing(load in 1u64..20_000, start in 1u32..50) {
        let history = history(start, 100, |count| {
            vec![measured(1_000, load / u64::from(count)); count as usize]
        });
        let steps: Vec<_> = history.windows(2).map(|pair| pair[0].cmp(&pair[1])).collect();
        let sinks = steps.iter().position(|step| step.is_gt()).unwrap_or(steps.len());
        prop_assert!(steps[sinks..].iter().all(|step| step.is_ge()), "it swings: {:?}", history);
    }
}

/// The case that a random run found: 2,002 thousandths are not divided by five instances without a rest, and what a whole
/// number each leaves of them is four instances' load.
#[test]
fn a_load_that_its_instances_do_not_divide_comes_to_rest() {
    comes_to_rest(2_002, 11).unwrap();
}

/// Looks at a constant load for fifteen minutes, of which the last seven have to be quiet.
fn comes_to_rest(load: u64, start: u32) -> Result<(), TestCaseError> {
    // To the thousandth, or the load would be another one for each number of instances.
    let history = history(start, 60, |count| {
        let (each, rest) = (load / u64::from(count), load % u64::from(count));
        let of = |nth| measured(1_000, each + u64::from(nth < rest));
        (0..u64::from(count)).map(of).collect()
    });
    let current = history[60];
    let rested = history[31..].iter().all(|&each| each == current);
    prop_assert!(rested, "still moving: {:?}", history);
    let at = |count: u32| load as f64 / f64::from(count) / 10.0;
    prop_assert!(
        at(current) <= 55.1 || current == 50,
        "{} % with {}",
        at(current),
        current
    );
    let could_be_fewer = current > 1 && at(current - 1) <= 50.0 && at(current) < 44.9;
    prop_assert!(!could_be_fewer, "{} % with {}", at(current), current);
    Ok(())
}

/// How many instances there are at the start and after each look of so many, a period apart, if so many instances use what
/// `samples` says.
fn history(start: u32, looks: u64, samples: impl Fn(u32) -> Vec<Sample>) -> Vec<u32> {
    let policy = policy(1, 50);
    let mut scaler = Autoscaler::default();
    let mut history = vec![start];
    for look in 0..looks {
        let current = history[history.len() - 1];
        let decision = scaler.decide(&policy, current, &samples(current), look * 15_000);
        history.push(decision.replicas);
    }
    history
}
