//! The operator's end of the control interface.

mod change_options;
mod error;
mod exchange;

use std::{net::IpAddr, time::Duration};

use balancer_core::{
    model::{BackendSpec, DeclarationSpec, Endpoint, ServiceName, ServiceSpec, Weight},
    state::OperationId,
};
use hyper::Method;

pub(crate) use self::exchange::{Lines, NO_BODY};
pub use self::{change_options::ChangeOptions, error::ClientError};
use super::{
    agent::AgentInstance,
    replies::{ChangeReply, EventReply, ListReply},
    requests::{DesiredBody, WeightBody},
    token::Token,
    views::{BackendView, OperationView, ServiceView, SocketQuery, SocketView, StatusView},
};

/// How long one question may take, from the connection to the whole answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer a detach may take: the speaker's confirmation, and the longest grace for packets under way.
const WITHDRAWAL: Duration = Duration::from_secs(70);

/// Asks one daemon; every question has its own connection.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<Token>,
    timeout: Duration,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// A client of the daemon on this socket or address.
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        Self {
            endpoint: endpoint.into(),
            token: None,
            timeout: TIMEOUT,
        }
    }

    /// The same with another limit for each question; 10 s by default.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same, showing a token.
    #[must_use]
    pub fn with_token(self, token: Option<Token>) -> Self {
        Self { token, ..self }
    }

    /// Who is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Declares a service without a word on its backends; idempotent.
    pub async fn declare_service(
        &self,
        name: &ServiceName,
        service: &DeclarationSpec,
    ) -> Answer<ChangeReply> {
        let path = format!("/v1/services/{name}");
        self.send(Method::PUT, &path, ChangeOptions::default(), Some(service))
            .await
    }

    /// Sends a CloudEvent in structured mode: a JSON object.
    pub async fn send_event(&self, event: &serde_json::Value) -> Answer<EventReply> {
        let content = "application/cloudevents+json";
        let body = event.to_string().into_bytes();
        self.answer(Method::POST, "/v1/events", content, body).await
    }

    /// Every drain that is remembered.
    pub async fn operations(&self) -> Answer<ListReply<OperationView>> {
        self.get("/v1/operations").await
    }

    /// A drain, when it is over or `wait` has passed; a minute at most. The client's own limit has to be longer.
    pub async fn operation(&self, id: &OperationId, wait: Duration) -> Answer<OperationView> {
        let seconds = wait.as_secs();
        self.get(&format!("/v1/operations/{id}?wait={seconds}s"))
            .await
    }

    /// The instances that an agent attends.
    pub async fn agent_instances(&self) -> Answer<ListReply<AgentInstance>> {
        self.get("/v1/instances").await
    }

    /// How many sockets of a service an agent's instances have.
    pub async fn sockets(&self, query: &SocketQuery) -> Answer<ListReply<SocketView>> {
        let SocketQuery {
            vip,
            port,
            protocol,
        } = query;
        self.get(&format!(
            "/v1/sockets?vip={vip}&port={port}&protocol={protocol}"
        ))
        .await
    }

    /// The edge as a whole: one item.
    pub async fn status(&self) -> Answer<ListReply<StatusView>> {
        self.get("/v1/status").await
    }

    /// Every service.
    pub async fn services(&self) -> Answer<ListReply<ServiceView>> {
        self.get("/v1/services").await
    }

    /// The backends of one service, or of all.
    pub async fn backends(&self, service: Option<&ServiceName>) -> Answer<ListReply<BackendView>> {
        match service {
            Some(name) => self.get(&format!("/v1/backends?service={name}")).await,
            None => self.get("/v1/backends").await,
        }
    }

    /// Adds a service.
    pub async fn add_service(
        &self,
        service: &ServiceSpec,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        self.send(Method::POST, "/v1/services", options, Some(service))
            .await
    }

    /// Removes a service.
    pub async fn remove_service(
        &self,
        name: &ServiceName,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        self.send(
            Method::DELETE,
            &format!("/v1/services/{name}"),
            options,
            NO_BODY,
        )
        .await
    }

    /// Adds a backend, or takes a draining one back.
    pub async fn add_backend(
        &self,
        service: &ServiceName,
        backend: &BackendSpec,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        self.send(
            Method::POST,
            &format!("/v1/services/{service}/backends"),
            options,
            Some(backend),
        )
        .await
    }

    /// Drains a backend and removes it when its drain ends, or removes it now.
    pub async fn remove_backend(
        &self,
        service: &ServiceName,
        address: IpAddr,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        self.send(Method::DELETE, &backend(service, address), options, NO_BODY)
            .await
    }

    /// Takes new flows away from a backend.
    pub async fn drain(
        &self,
        service: &ServiceName,
        address: IpAddr,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        self.send(
            Method::POST,
            &format!("{}/drain", backend(service, address)),
            options,
            NO_BODY,
        )
        .await
    }

    /// Gives a backend another weight.
    pub async fn set_weight(
        &self,
        service: &ServiceName,
        address: IpAddr,
        weight: Weight,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        let path = format!("{}/weight", backend(service, address));
        self.send(Method::PUT, &path, options, Some(&WeightBody { weight }))
            .await
    }

    /// Makes these the services, and no others.
    pub async fn apply(
        &self,
        services: Vec<ServiceSpec>,
        options: ChangeOptions,
    ) -> Answer<ChangeReply> {
        let body = DesiredBody {
            services,
            force: options.force,
            dry_run: options.dry_run,
        };
        self.send(
            Method::PUT,
            "/v1/desired",
            ChangeOptions::default(),
            Some(&body),
        )
        .await
    }

    /// Withdraws every VIP of the edge from routers.
    pub async fn drain_edge(&self, options: ChangeOptions) -> Answer<ChangeReply> {
        self.send(Method::POST, "/v1/edge/drain", options, NO_BODY)
            .await
    }

    /// Takes a drained edge back.
    pub async fn undrain_edge(&self, options: ChangeOptions) -> Answer<ChangeReply> {
        self.send(Method::POST, "/v1/edge/undrain", options, NO_BODY)
            .await
    }

    /// Takes the XDP program off the interface, once the VIPs are withdrawn from routers.
    pub async fn detach(&self, options: ChangeOptions) -> Answer<ChangeReply> {
        let patient = self.clone().with_timeout(self.timeout + WITHDRAWAL);
        patient
            .send(Method::POST, "/v1/detach", options, NO_BODY)
            .await
    }
}

fn backend(service: &ServiceName, address: IpAddr) -> String {
    format!("/v1/services/{service}/backends/{address}")
}
