//! How a result is shown: a line of a table, or an object of JSON.

use serde::Serialize;

use crate::cases::Case;
use crate::measure::Measured;

/// One result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    case: &'static str,
    /// How many flows there were; 0 for a new one each packet.
    flows: u32,
    services: u32,
    backends: usize,
    ns: f64,
    floor_ns: f64,
    /// What the program adds to its floor: this compares from machine to machine, the ratio does not.
    net_ns: f64,
    ratio: f64,
    packets: u64,
    verified: bool,
    #[serde(skip)]
    must: f64,
    #[serde(skip)]
    aim: f64,
}

/// The line above the table's first.
pub(crate) fn header() -> String {
    format!(
        "{:<24}{:>8}{:>9}{:>9}{:>9}{:>7}{:>6}{:>6}  result",
        "case", "flows", "ns", "floor ns", "net ns", "ratio", "must", "aim"
    )
}

impl Line {
    pub(crate) fn new(case: &Case, backends: usize, measured: &Measured) -> Line {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        Line {
            case: case.name,
            flows: case.flows,
            services: case.services,
            backends,
            ns: rounded(measured.ns),
            floor_ns: rounded(measured.floor_ns),
            net_ns: rounded(measured.ns - measured.floor_ns),
            ratio: rounded(measured.ns / measured.floor_ns),
            packets: measured.packets,
            verified: measured.faults.is_empty(),
            must: case.must,
            aim: case.aim,
        }
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.verified
    }

    /// A line of the table.
    pub(crate) fn row(&self) -> String {
        let flows = match self.flows {
            0 => "new".to_owned(),
            some => some.to_string(),
        };
        let result = match self {
            Line {
                verified: false, ..
            } => "NOT VERIFIED".to_owned(),
            Line { must, .. } if must.is_nan() => {
                let millions = |ns: f64| 1e3 / ns;
                format!(
                    "{:.2} million packets/s, the floor {:.2}",
                    millions(self.ns),
                    millions(self.floor_ns)
                )
            }
            Line {
                ratio, must, aim, ..
            } => match (ratio <= aim, ratio <= must) {
                (true, _) => "aim reached",
                (_, true) => "must reached",
                _ => "short of must",
            }
            .to_owned(),
        };
        format!(
            "{:<24}{flows:>8}{:>9.1}{:>9.1}{:>9.1}{:>7.2}{:>6}{:>6}  {result}",
            self.case,
            self.ns,
            self.floor_ns,
            self.net_ns,
            self.ratio,
            bound(self.must),
            bound(self.aim)
        )
    }

    /// An object of JSON, on one line.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a line of numbers is JSON")
    }
}

/// A bound, if there is one.
fn bound(ratio: f64) -> String {
    match ratio.is_nan() {
        true => "-".to_owned(),
        false => ratio.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ns: f64, faults: &[&str]) -> Line {
        let case = &crate::cases::all()[0];
        let measured = Measured {
            ns,
            floor_ns: 20.0,
            packets: 1_000,
            faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
        };
        Line::new(case, 100, &measured)
    }

    #[test]
    fn a_result_is_one_object_of_json() {
        assert_eq!(
            line(33.337, &[]).json(),
            "{\"case\":\"v4_tcp\",\"flows\":1,\"services\":1,\"backends\":100,\"ns\":33.34,\"floor_ns\":20.0,\
             \"net_ns\":13.34,\"ratio\":1.67,\"packets\":1000,\"verified\":true}"
        );
    }

    #[test]
    fn a_row_says_what_was_reached() {
        let said = |ns, faults: &[&str]| {
            let row = line(ns, faults).row();
            row.rsplit("  ").next().unwrap_or_default().to_owned()
        };
        assert_eq!(said(31.0, &[]), "aim reached");
        assert_eq!(said(39.0, &[]), "must reached");
        assert_eq!(said(41.0, &[]), "short of must");
        let live = crate::cases::live();
        let measured = Measured {
            ns: 250.0,
            floor_ns: 200.0,
            packets: 1,
            faults: Vec::new(),
        };
        let row = Line::new(&live, 100, &measured).row();
        assert!(
            row.ends_with("1.25     -     -  4.00 million packets/s, the floor 5.00"),
            "{row}"
        );
        assert_eq!(said(31.0, &["a frame grew by 0 bytes"]), "NOT VERIFIED");
    }
}
