//! The formula: from the usage of each instance to a number of instances.

/// What is known of one instance's CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// It is ready, and used this many thousandths of a CPU on average since the last look.
    Measured(u64),
    /// It is ready, and nothing was measured.
    Missing,
    /// It is not ready yet, or has not been for the whole time since the last look.
    NotReady,
}

/// One instance: what it asked for and what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The CPU that its containers request, in thousandths of a CPU; above 0.
    pub request_millis: u64,
    /// What it used.
    pub usage: Usage,
}

/// What the formula says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// How many instances the load asks for, before any limit.
    pub replicas: u32,
    /// The average utilisation of the measured instances, in per cent of their requests: the plain one, without what is
    /// assumed of the others. `None` when nothing was measured.
    pub utilization_percent: Option<u32>,
}

/// The instances that a load needs: `ceil(instances * utilisation / target)`, held back as documented.
///
/// - Within `tolerance_percent` of the target, `current` stays.
/// - Missing measurements count as the target when the others say "fewer", and as nothing when they say "more".
/// - Instances that are not ready count as nothing when the others say "more", and are left out otherwise.
/// - Assumptions that turn the direction round, or end within the tolerance, change nothing.
///
/// `target_percent` is above 0. Without any measurement `current` stays.
pub fn demand(
    current: u32,
    samples: &[Sample],
    target_percent: u32,
    tolerance_percent: u32,
) -> Demand {
    let target = u128::from(target_percent);
    let mut measured = Load::default();
    for sample in samples {
        if let Usage::Measured(used) = sample.usage {
            measured.add(u128::from(used) * 100, sample.request_millis);
        }
    }
    let unchanged = |utilization_percent| Demand {
        replicas: current,
        utilization_percent,
    };
    if measured.requested == 0 {
        return unchanged(None);
    }
    let utilization = u32::try_from(measured.used / measured.requested).unwrap_or(u32::MAX);
    let direction = measured.against(target);
    let mut assumed = measured;
    for sample in samples {
        match (sample.usage, direction) {
            (Usage::Missing, std::cmp::Ordering::Less) => {
                let as_wished = u128::from(sample.request_millis) * target;
                assumed.add(as_wished, sample.request_millis);
            }
            (Usage::Missing | Usage::NotReady, std::cmp::Ordering::Greater) => {
                assumed.add(0, sample.request_millis);
            }
            _ => {}
        }
    }
    let wanted = assumed.replicas(target);
    let turned = assumed.against(target) != direction
        || match direction {
            std::cmp::Ordering::Less => wanted > current,
            std::cmp::Ordering::Greater => wanted < current,
            std::cmp::Ordering::Equal => true,
        };
    if turned || assumed.is_near(target, tolerance_percent) {
        return unchanged(Some(utilization));
    }
    Demand {
        replicas: wanted,
        utilization_percent: Some(utilization),
    }
}

/// The usage of some instances together. Fractions stay fractions: rounding must not tip a decision.
#[derive(Clone, Copy, Default)]
struct Load {
    /// In hundred-thousandths of a CPU, so that it divides to per cent.
    used: u128,
    requested: u128,
    instances: u128,
}

impl Load {
    fn add(&mut self, used: u128, request_millis: u64) {
        self.used += used;
        self.requested += u128::from(request_millis);
        self.instances += 1;
    }

    fn against(&self, target: u128) -> std::cmp::Ordering {
        self.used.cmp(&(self.requested * target))
    }

    fn is_near(&self, target: u128, tolerance_percent: u32) -> bool {
        let wished = self.requested * target;
        self.used.abs_diff(wished) * 100 <= wished * u128::from(tolerance_percent)
    }

    fn replicas(&self, target: u128) -> u32 {
        let replicas = (self.used * self.instances).div_ceil(self.requested * target);
        u32::try_from(replicas).unwrap_or(u32::MAX)
    }
}
