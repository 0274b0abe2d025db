//! What edges are told, in the words of their API.

use balancer_api::client::{ChangeOptions, Client, ClientError};
use balancer_core::model::{City, DeclarationSpec};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::site::{EdgeAction, Event, What};

/// Who speaks, and where sockets are counted.
#[derive(Clone)]
pub(super) struct Speaker {
    pub(super) city: City,
    /// The URL of the host's agent.
    pub(super) agent: String,
}

/// What became of each action that an edge was told, in order.
pub(super) type Outcomes = Vec<(EdgeAction, Result<(), String>)>;

/// Tells an edge one thing after the other, until it does not answer: what it refuses holds nothing else up.
pub(super) async fn tell_all(
    client: Client,
    speaker: Speaker,
    actions: Vec<EdgeAction>,
) -> Outcomes {
    let mut outcomes = Vec::new();
    for action in actions {
        let told = tell(&client, &speaker, &action).await;
        let answered = matches!(&told, Ok(()) | Err(ClientError::Refused { .. }));
        outcomes.push((action, told.map_err(|error| error.to_string())));
        if !answered {
            break;
        }
    }
    outcomes
}

async fn tell(client: &Client, speaker: &Speaker, action: &EdgeAction) -> Result<(), ClientError> {
    match action {
        EdgeAction::Declare(service) => {
            let spec = DeclarationSpec::from(service);
            client.declare_service(&service.name, &spec).await.map(drop)
        }
        EdgeAction::Withdraw(service) => {
            let options = ChangeOptions {
                now: true,
                force: true,
                ..ChangeOptions::default()
            };
            client.remove_service(service, options).await.map(drop)
        }
        EdgeAction::Tell(event) => {
            let event = cloud_event(speaker, event);
            client.send_event(&event).await.map(drop)
        }
    }
}

fn cloud_event(speaker: &Speaker, event: &Event) -> Value {
    let (kind, deadline) = match event.what {
        What::Launched => ("launched", None),
        What::Terminating { deadline_unix_ms } => ("terminating", Some(deadline_unix_ms)),
        What::Terminated => ("terminated", None),
    };
    let mut data = json!({
        "service": event.service,
        "address": event.address,
        "incarnation": event.incarnation,
    });
    if let Some(deadline) = deadline.and_then(rfc3339) {
        data["deadline"] = deadline.into();
    }
    if event.what == What::Launched {
        data["agent"] = speaker.agent.as_str().into();
        if let Some(instance) = &event.instance {
            data["instance"] = instance.as_str().into();
        }
    }
    json!({
        "specversion": "1.0",
        "id": format!("{kind}-{}-{}-{}", event.service, event.address, event.incarnation),
        "source": format!("/site/{}", speaker.city),
        "type": format!("backend.{kind}"),
        "data": data,
    })
}

fn rfc3339(unix_ms: u64) -> Option<String> {
    let nanos = i128::from(unix_ms) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, extract::Path, http::StatusCode, routing::delete};
    use balancer_api::replies::{ErrorCode, ErrorReply};
    use balancer_core::model::Endpoint;
    use tokio::net::TcpListener;

    use super::*;

    async fn refuse(Path(name): Path<String>) -> (StatusCode, Json<ErrorReply>) {
        let reply = ErrorReply::new(ErrorCode::Conflict, format!("not {name}"));
        (StatusCode::CONFLICT, Json(reply))
    }

    // Promise: F2
    #[tokio::test]
    async fn what_an_edge_refuses_holds_nothing_up_and_its_silence_does() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/services/{name}", delete(refuse));
        let edge = tokio::spawn(axum::serve(listener, router).into_future());
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        let client = Client::new(endpoint);
        let speaker = Speaker {
            city: "SEA".parse().unwrap(),
            agent: "http://agent:9108".to_owned(),
        };
        let withdraw = |service: &str| EdgeAction::Withdraw(service.parse().unwrap());
        let actions = ["web", "dns"].map(withdraw).to_vec();
        let outcomes = tell_all(client.clone(), speaker.clone(), actions.clone()).await;
        let said: Vec<String> = outcomes
            .into_iter()
            .filter_map(|(_, told)| told.err())
            .collect();
        assert_eq!(said, ["not web", "not dns"]);
        edge.abort();
        let _ = edge.await;
        assert_eq!(tell_all(client, speaker, actions).await.len(), 1);
    }
}
