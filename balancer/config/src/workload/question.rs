//! What a probe asks.

use balancer_core::model::CheckKind;
use serde::{Deserialize, Serialize, Serializer, ser::Error};
use serde_json::{Map, Value};

/// What a probe asks, and at which port of its container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Question {
    /// What is asked.
    #[serde(flatten)]
    pub kind: CheckKind,
    /// The container's port.
    pub port: u16,
}

/// `{"type":"http","port":8000,"path":"/"}`: the port behind the type. Digests, by which instances are replaced, are of these bytes.
impl Serialize for Question {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written {
            r#type: Option<Value>,
            port: u16,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }

        let kind = serde_json::to_value(&self.kind).map_err(S::Error::custom)?;
        let Value::Object(mut rest) = kind else {
            return Err(S::Error::custom("a check is an object"));
        };
        let written = Written {
            r#type: rest.remove("type"),
            port: self.port,
            rest,
        };
        written.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use balancer_core::model::{Http, Tcp};

    use super::*;
    use crate::fnv1a;

    /// State files, sites and digests have it so.
    #[test]
    fn a_question_is_written_as_ever() {
        let http = Http {
            path: "/up".to_owned(),
        };
        for (kind, json) in [
            (CheckKind::Tcp(Tcp {}), r#"{"type":"tcp","port":8000}"#),
            (
                CheckKind::Http(http),
                r#"{"type":"http","port":8000,"path":"/up"}"#,
            ),
        ] {
            let question = Question { kind, port: 8000 };
            assert_eq!(serde_json::to_string(&question).unwrap(), json);
            assert_eq!(serde_json::from_str::<Question>(json).unwrap(), question);
            let bytes = serde_json::to_vec(&question).unwrap();
            assert_eq!(fnv1a(&bytes), fnv1a(json.as_bytes()));
        }
    }
}
