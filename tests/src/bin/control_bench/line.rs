//! How a result is shown: a row of a table, or an object of JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cases::Case;
use crate::quantile::quantile;
use crate::services::Services;
use crate::usage::Usage;

/// One result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    #[serde(rename = "case")]
    name: &'static str,
    services: usize,
    backends: usize,
    /// `None` where nothing takes a time.
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    /// What the daemon used of the processors in the time that was measured.
    cpu_ms: f64,
    /// How often it wrote to its state directory in that time.
    saves: u64,
    /// Whether the time for the case was over before everything had happened.
    timed_out: bool,
    /// What else was seen; units are in the names.
    #[serde(flatten)]
    more: BTreeMap<&'static str, f64>,
    #[serde(skip)]
    case: Case,
}

/// The line above the table's first.
pub(crate) fn header() -> String {
    format!(
        "{:<22}{:>9}{:>9}{:>11}{:>11}{:>9}{:>7}  result",
        "case", "services", "backends", "p50 ms", "p99 ms", "cpu ms", "saves"
    )
}

impl Line {
    pub(crate) fn new(case: Case, services: &Services, samples_ms: &[f64], usage: Usage) -> Line {
        Line {
            name: case.name(),
            services: services.count,
            backends: services.backends(),
            p50_ms: quantile(samples_ms, 0.5).map(rounded),
            p99_ms: quantile(samples_ms, 0.99).map(rounded),
            cpu_ms: usage.cpu_ms,
            saves: usage.saves,
            timed_out: false,
            more: BTreeMap::new(),
            case,
        }
    }

    /// The same with one more figure; a missing one is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Option<f64>>) -> Line {
        if let Some(value) = value.into() {
            self.more.insert(name, rounded(value));
        }
        self
    }

    /// The same with two quantiles of samples.
    #[must_use]
    pub(crate) fn with_quantiles(self, names: [&'static str; 2], samples_ms: &[f64]) -> Line {
        let [p50, p99] = names;
        self.with(p50, quantile(samples_ms, 0.5))
            .with(p99, quantile(samples_ms, 0.99))
    }

    #[must_use]
    pub(crate) fn timed_out(self, timed_out: bool) -> Line {
        Line { timed_out, ..self }
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        self.p99_ms.unwrap_or(f64::NAN)
    }

    pub(crate) fn saves(&self) -> u64 {
        self.saves
    }

    /// A figure beyond those that every case has; no number if it is missing.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.more.get(name).copied().unwrap_or(f64::NAN)
    }

    /// A row of the table.
    pub(crate) fn row(&self) -> String {
        let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        let result = match (self.timed_out, self.case.is_reached(self)) {
            (true, _) => "TIMED OUT",
            (_, true) => "must reached",
            (_, false) => "short of must",
        };
        let more: Vec<String> = self
            .more
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        format!(
            "{:<22}{:>9}{:>9}{:>11}{:>11}{:>9.0}{:>7}  {result} ({})\n    {}",
            self.name,
            self.services,
            self.backends,
            time(self.p50_ms),
            time(self.p99_ms),
            self.cpu_ms,
            self.saves,
            self.case.must(),
            more.join(", ")
        )
    }

    /// An object of JSON, on one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a line of numbers is JSON")
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(samples_ms: &[f64]) -> Line {
        let usage = Usage {
            cpu_ms: 120.0,
            saves: 3,
        };
        Line::new(Case::Start512, &Services::new(512, 8), samples_ms, usage)
    }

    #[test]
    fn a_result_is_one_object_of_json() {
        assert_eq!(
            line(&[800.126])
                .with("rss_mib", 20.0)
                .with("lost", None::<f64>)
                .json(),
            "{\"case\":\"start_512\",\"services\":512,\"backends\":4096,\"p50_ms\":800.13,\"p99_ms\":800.13,\
             \"cpu_ms\":120.0,\"saves\":3,\"timed_out\":false,\"rss_mib\":20.0}"
        );
        assert!(line(&[]).json().contains("\"p50_ms\":null"));
    }

    #[test]
    fn a_row_says_what_was_reached() {
        let row = |samples: &[f64], timed_out| line(samples).timed_out(timed_out).row();
        assert!(row(&[900.0], false).contains("must reached (1 s)"));
        assert!(row(&[1_100.0], false).contains("short of must"));
        assert!(row(&[900.0], true).contains("TIMED OUT"));
        assert!(row(&[], false).contains("short of must"));
    }
}
