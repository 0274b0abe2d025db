//! What is measured, and what it has to reach.

use std::path::Path;

use anyhow::Result;

use crate::line::Line;
use crate::{change, checks, events, looks, restart, storm};

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Storm500,
    StormBack500,
    Change,
    Change512,
    Change4096,
    Start512,
    Start4096,
    Restart512,
    RestartAnnounced512,
    Looks50,
    Checks32767,
    ChecksShared2000,
    Events512,
}

/// Whether a case is measured as it says, or with numbers that a test can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Small,
}

impl Size {
    /// One of two numbers.
    pub(crate) fn pick<T>(self, full: T, small: T) -> T {
        match self {
            Size::Full => full,
            Size::Small => small,
        }
    }
}

impl Case {
    /// In the table's order.
    const ALL: [Case; 13] = [
        Case::Storm500,
        Case::StormBack500,
        Case::Change,
        Case::Change512,
        Case::Change4096,
        Case::Start512,
        Case::Start4096,
        Case::Restart512,
        Case::RestartAnnounced512,
        Case::Looks50,
        Case::Checks32767,
        Case::ChecksShared2000,
        Case::Events512,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Case::Storm500 => "storm_500",
            Case::StormBack500 => "storm_back_500",
            Case::Change => "change",
            Case::Change512 => "change_512",
            Case::Change4096 => "change_4096",
            Case::Start512 => "start_512",
            Case::Start4096 => "start_4096",
            Case::Restart512 => "restart_512",
            Case::RestartAnnounced512 => "restart_announced_512",
            Case::Looks50 => "looks_50",
            Case::Checks32767 => "checks_32767",
            Case::ChecksShared2000 => "checks_shared_2000",
            Case::Events512 => "events_512",
        }
    }

    /// What it has to reach, in words; times without a name are the p99.
    pub(crate) fn must(self) -> &'static str {
        match self {
            Case::Storm500 => "100 ms, 40 saves",
            Case::StormBack500 => "2.2 s",
            Case::Change | Case::Change512 => "20 ms and the disk's fsync",
            Case::Change4096 => "25 ms and the disk's fsync, 3 ms CPU each",
            Case::Start512 => "1 s",
            Case::Start4096 => "5 s",
            Case::Restart512 => "1.5 s, no flow moved",
            Case::RestartAnnounced512 => "1.5 s, no VIP moved",
            Case::Looks50 => "20 % above p99 without looks, none fails, memory flat",
            Case::Checks32767 => "all known after 12 s, 40 % of a core, no complaints",
            Case::ChecksShared2000 => "one probe a host and interval, 5 % of a core",
            Case::Events512 => "50 ms, 167/s, 20 % of a core, none lost",
        }
    }

    /// Whether a result reaches it. What was not seen is no number, and reaches nothing.
    pub(crate) fn is_reached(self, line: &Line) -> bool {
        let p99_ms = line.p99_ms();
        let figure = |name| line.figure(name);
        match self {
            Case::Storm500 => p99_ms <= 100.0 && line.saves() <= 40 && figure("not_seen") == 0.0,
            Case::StormBack500 => p99_ms <= 2_200.0 && figure("not_seen") == 0.0,
            Case::Change | Case::Change512 => {
                p99_ms - figure("fsync_p50_ms") <= 20.0 && figure("not_seen") == 0.0
            }
            Case::Change4096 => {
                p99_ms - figure("fsync_p50_ms") <= 25.0
                    && figure("cpu_ms_each") <= 3.0
                    && figure("not_seen") == 0.0
            }
            Case::Start512 => p99_ms <= 1_000.0,
            Case::Start4096 => p99_ms <= 5_000.0,
            Case::Restart512 => p99_ms <= 1_500.0 && figure("moved_flows") == 0.0,
            Case::RestartAnnounced512 => p99_ms <= 1_500.0 && figure("moved") == 0.0,
            Case::Looks50 => {
                p99_ms <= 1.2 * figure("without_p99_ms")
                    && figure("failed_looks") == 0.0
                    && figure("rss_max_mib") <= 1.1 * figure("rss_before_mib") + 1.0
            }
            Case::Checks32767 => {
                figure("all_known_ms") <= 12_000.0
                    && figure("cpu_percent") <= 40.0
                    && figure("warnings") + figure("errors") == 0.0
            }
            Case::ChecksShared2000 => {
                // A probe starts up to a tenth of its interval early.
                figure("probes_per_host_s") <= 1.2 && figure("cpu_percent") <= 5.0
            }
            Case::Events512 => {
                p99_ms <= 50.0
                    && figure("per_s") >= 165.0
                    && figure("lost") == 0.0
                    && figure("cpu_percent") <= 20.0
            }
        }
    }
}

/// The cases of these names, in the table's order; all of them for none.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Case>, String> {
    let is_known = |name: &String| Case::ALL.iter().any(|case| case.name() == name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let known = Case::ALL.map(Case::name).join(", ");
        return Err(format!("there is no case {unknown}: choose among {known}"));
    }
    let wanted = |case: &Case| names.is_empty() || names.iter().any(|name| name == case.name());
    Ok(Case::ALL.into_iter().filter(wanted).collect())
}

/// Cases that go together: a host that comes back has died before.
pub(crate) fn runs(cases: &[Case]) -> Vec<Vec<Case>> {
    let mut runs: Vec<Vec<Case>> = Vec::new();
    for &case in cases {
        match runs.last_mut() {
            Some(last) if case == Case::StormBack500 && last[0] == Case::Storm500 => {
                last.push(case);
            }
            _ => runs.push(vec![case]),
        }
    }
    runs
}

/// Measures one of the [`runs`].
pub(crate) fn measure(run: &[Case], size: Size, lbd: &Path) -> Result<Vec<Line>> {
    let case = run[0];
    let line = match case {
        Case::Storm500 | Case::StormBack500 => return storm::measure(run, size, lbd),
        Case::Change | Case::Change512 | Case::Change4096 => change::measure(case, size, lbd)?,
        Case::Start512 | Case::Start4096 => restart::start(case, size, lbd)?,
        Case::Restart512 => restart::restart(case, size, lbd)?,
        Case::RestartAnnounced512 => restart::restart_announced(case, size, lbd)?,
        Case::Looks50 => looks::measure(case, size, lbd)?,
        Case::Checks32767 => checks::many(case, size, lbd)?,
        Case::ChecksShared2000 => checks::shared(case, size, lbd)?,
        Case::Events512 => events::measure(case, size, lbd)?,
    };
    Ok(vec![line])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name_and_all_of_them_by_none() {
        let names = |chosen: &[&str]| {
            let chosen: Vec<_> = chosen.iter().map(|name| (*name).to_owned()).collect();
            super::chosen(&chosen).map(|cases| cases.iter().map(|case| case.name()).collect())
        };
        assert_eq!(
            names(&["looks_50", "change"]),
            Ok(vec!["change", "looks_50"])
        );
        assert_eq!(names(&[]).map(|all: Vec<_>| all.len()), Ok(13));
        let error = names(&["storm"]).unwrap_err();
        assert!(
            error.starts_with("there is no case storm: choose among storm_500, "),
            "{error}"
        );
    }

    #[test]
    fn a_host_that_comes_back_is_the_one_that_died() {
        let both = runs(&[Case::Storm500, Case::StormBack500, Case::Change]);
        assert_eq!(
            both,
            [vec![Case::Storm500, Case::StormBack500], vec![Case::Change]]
        );
        assert_eq!(runs(&[Case::StormBack500]), [[Case::StormBack500]]);
    }
}
