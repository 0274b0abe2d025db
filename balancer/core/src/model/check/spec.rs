//! A check as people declare it.

use serde::{Deserialize, Serialize};

use super::{Broken, Check, CheckKind, CheckType};

/// A check as a file, the API and `lbctl` have it. What is left out takes its default: the constants of [`Check`], and those of
/// the kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: CheckType,
    /// The path of an HTTP check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The TCP port asked; the service's own when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// From the start of one probe to the start of the next, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u32>,
    /// When a probe has failed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Passed probes in a row that make a down backend healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rise: Option<u8>,
    /// Failed probes in a row that make a healthy backend down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fall: Option<u8>,
}

impl CheckSpec {
    /// A check of this type with every default.
    pub fn new(kind: CheckType) -> Self {
        Self {
            kind,
            path: None,
            port: None,
            interval_ms: None,
            timeout_ms: None,
            rise: None,
            fall: None,
        }
    }

    /// The check of a service with this port.
    ///
    /// # Errors
    ///
    /// When it has a field that belongs to another type.
    pub fn resolve(mut self, service_port: u16) -> Result<Check, Broken> {
        let kind = CheckKind::take(&mut self);
        if self.path.is_some() {
            let problem = format!("a {} check has no path", self.kind);
            return Err(Broken::key(
                "check.path",
                problem,
                "no `path`, or another `type`",
            ));
        }
        let interval_ms = self.interval_ms.unwrap_or(Check::INTERVAL_MS);
        Ok(Check {
            kind,
            port: self.port.unwrap_or(service_port),
            interval_ms,
            timeout_ms: (self.timeout_ms).unwrap_or(Check::TIMEOUT_MS.min(interval_ms)),
            rise: self.rise.unwrap_or(Check::RISE),
            fall: self.fall.unwrap_or(Check::FALL),
        })
    }
}

impl From<&Check> for CheckSpec {
    fn from(check: &Check) -> Self {
        let mut spec = Self {
            kind: CheckType::from(&check.kind),
            path: None,
            port: Some(check.port),
            interval_ms: Some(check.interval_ms),
            timeout_ms: Some(check.timeout_ms),
            rise: Some(check.rise),
            fall: Some(check.fall),
        };
        check.kind.kind().put(&mut spec);
        spec
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    fn spec(json: &str) -> CheckSpec {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_a_check_leaves_out_takes_its_default() {
        for kind in CheckType::VARIANTS {
            let json = format!(r#"{{"type":"{kind}"}}"#);
            assert_eq!(spec(&json), CheckSpec::new(*kind));
            let check = CheckSpec::new(*kind).resolve(8000).unwrap();
            check.check_bounds().unwrap();
            let timing = (check.port, check.interval_ms, check.timeout_ms);
            assert_eq!(timing, (8000, 1_000, 500));
            assert_eq!((check.rise, check.fall), (2, 3));
        }
        let quick = spec(r#"{"type":"tcp","interval_ms":200}"#);
        assert_eq!(quick.resolve(8000).unwrap().timeout_ms, 200);
    }

    #[test]
    fn a_check_is_declared_as_it_was_and_reads_in_short() {
        for (json, text) in [
            (
                r#"{"type":"tcp","port":53,"interval_ms":200,"timeout_ms":100,"rise":1,"fall":9}"#,
                "tcp :53 every 200 ms",
            ),
            (
                r#"{"type":"http","path":"/up","port":80,"interval_ms":2000,"timeout_ms":700,"rise":4,"fall":5}"#,
                "http :80/up every 2000 ms",
            ),
        ] {
            let check = spec(json).resolve(8000).unwrap();
            assert_eq!(
                serde_json::to_string(&CheckSpec::from(&check)).unwrap(),
                json
            );
            assert_eq!(check.to_string(), text);
        }
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        let broken = spec(r#"{"type":"tcp","path":"/"}"#)
            .resolve(8000)
            .unwrap_err();
        assert_eq!(
            broken.to_string(),
            "check.path: a tcp check has no path; expected no `path`, or another `type`"
        );
        let unknown = serde_json::from_str::<CheckSpec>(r#"{"type":"tcp","risen":1}"#);
        assert!(unknown.unwrap_err().to_string().contains("`risen`"));
    }

    /// Journals and digests of configurations have a check so.
    #[test]
    fn a_check_is_written_as_ever() {
        let json = r#"{"kind":{"type":"tcp"},"port":53,"interval_ms":200,"timeout_ms":100,"rise":1,"fall":9}"#;
        let check: Check = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&check).unwrap(), json);
        let json = r#"{"type":"http","path":"/"}"#;
        let kind: CheckKind = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&kind).unwrap(), json);
    }
}
