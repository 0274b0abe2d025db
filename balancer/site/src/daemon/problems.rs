//! Instances whose last action failed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tracing::error;

/// How long an instance is left alone after an action failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(3);

/// Why an instance could not be launched, restarted or removed, and when that is tried again.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<String, Problem>);

#[derive(Debug)]
struct Problem {
    sentence: String,
    retry_at: Instant,
}

impl Problems {
    /// An action failed; logged unless the one before it failed in the same way.
    pub(super) fn note(&mut self, instance: &str, sentence: String) {
        if self.of(instance) != Some(&sentence) {
            error!("{instance}: {sentence}");
        }
        let retry_at = Instant::now() + RETRY_INTERVAL;
        let problem = Problem { sentence, retry_at };
        self.0.insert(instance.to_owned(), problem);
    }

    /// An action succeeded.
    pub(super) fn clear(&mut self, instance: &str) {
        self.0.remove(instance);
    }

    /// Whether an instance is left alone for now.
    pub(super) fn is_paused(&self, instance: &str) -> bool {
        let problem = self.0.get(instance);
        problem.is_some_and(|problem| Instant::now() < problem.retry_at)
    }

    /// What failed last.
    pub(super) fn of(&self, instance: &str) -> Option<&String> {
        self.0.get(instance).map(|problem| &problem.sentence)
    }

    /// Every instance with a problem, and the problem.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let problems = self.0.iter();
        problems.map(|(instance, problem)| (instance.as_str(), problem.sentence.as_str()))
    }

    /// Forgets all but these instances.
    pub(super) fn retain(&mut self, stays: impl Fn(&str) -> bool) {
        self.0.retain(|instance, _| stays(instance));
    }
}
