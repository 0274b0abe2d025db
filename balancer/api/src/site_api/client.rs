//! The operator's end of the site's interface.
use balancer_core::model::Label;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    IMAGE_LIMIT_BYTES, command::InstanceLine, requests::WorkloadBody, server::Progress,
    views::SiteView,
};
use crate::{
    client::{ChangeOptions, Client, ClientError, Lines, NO_BODY},
    replies::{ErrorCode, ListReply},
};

/// Asks one site.
#[derive(Clone, Debug)]
pub struct SiteClient(Client);

impl SiteClient {
    /// One that asks as `client` does.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// Everything of the site.
    ///
    /// # Errors
    ///
    /// When it does not answer, or says no.
    pub async fn site(&self) -> Result<SiteView, ClientError> {
        let reply: ListReply<SiteView> = self.0.get("/v1/site").await?;
        let none = || ClientError::Garbled {
            endpoint: self.0.endpoint().clone(),
            why: "a site that is none".to_owned(),
        };
        reply.items.into_iter().next().ok_or_else(none)
    }

    /// Has a workload run as it is here.
    ///
    /// # Errors
    ///
    /// When the site does not answer, or refuses it.
    pub async fn put_workload(&self, body: &WorkloadBody) -> Result<(), ClientError> {
        let path = format!("/v1/workloads/{}", body.workload.slug);
        let taken: Result<Value, _> = self
            .0
            .send(Method::PUT, &path, ChangeOptions::default(), Some(body))
            .await;
        taken.map(drop)
    }

    /// Has a workload go; done as well when there is none.
    ///
    /// # Errors
    ///
    /// When the site does not answer, or refuses it.
    pub async fn delete_workload(&self, slug: &Label) -> Result<(), ClientError> {
        let path = format!("/v1/workloads/{slug}");
        let taken: Result<Value, _> = self
            .0
            .send(Method::DELETE, &path, ChangeOptions::default(), NO_BODY)
            .await;
        match taken {
            Err(ClientError::Refused {
                code: ErrorCode::NotFound,
                ..
            }) => Ok(()),
            taken => taken.map(drop),
        }
    }

    /// Has an image ready; `progress` hears of each step.
    ///
    /// # Errors
    ///
    /// When the site does not answer, or there is no such image.
    pub async fn prepare_image(
        &self,
        image: &str,
        context: Option<Vec<u8>>,
        mut progress: impl FnMut(&str),
    ) -> Result<(), ClientError> {
        let image = utf8_percent_encode(image, NON_ALPHANUMERIC);
        let path = format!("/v1/images?image={image}");
        let body = context.unwrap_or_default();
        if body.len() > IMAGE_LIMIT_BYTES {
            // Said here: while a body is being sent, the server's own refusal can get lost.
            let error = format!(
                "the build context has {} bytes, and a site takes at most {IMAGE_LIMIT_BYTES}: move what is no part \
                 of the image out of the workload file's directory",
                body.len()
            );
            let code = ErrorCode::TooLarge;
            return Err(ClientError::Refused { code, error });
        }
        let mut lines = self
            .0
            .lines(Method::PUT, &path, "application/x-tar", body)
            .await?;
        while let Some(line) = lines.next().await? {
            match self.read(&line)? {
                Progress::Line(line) => progress(&line),
                Progress::Error(error) => {
                    let code = ErrorCode::Failed;
                    return Err(ClientError::Refused { code, error });
                }
            }
        }
        Ok(())
    }

    /// What a workload's instances wrote.
    ///
    /// # Errors
    ///
    /// When the site does not answer, or there is no such workload or instance.
    pub async fn logs(
        &self,
        slug: &Label,
        instance: Option<&str>,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<LogLines, ClientError> {
        let mut path = format!("/v1/workloads/{slug}/logs?follow={follow}");
        if let Some(instance) = instance {
            let instance = utf8_percent_encode(instance, NON_ALPHANUMERIC);
            path.push_str(&format!("&instance={instance}"));
        }
        if let Some(tail) = tail {
            path.push_str(&format!("&tail={tail}"));
        }
        let lines = self
            .0
            .lines(Method::GET, &path, "application/json", Vec::new())
            .await?;
        Ok(LogLines {
            client: self.clone(),
            lines,
        })
    }

    fn read<T: serde::de::DeserializeOwned>(&self, line: &str) -> Result<T, ClientError> {
        serde_json::from_str(line).map_err(|error| ClientError::Garbled {
            endpoint: self.0.endpoint().clone(),
            why: error.to_string(),
        })
    }
}

/// Lines of instances, as they come.
#[derive(Debug)]
pub struct LogLines {
    client: SiteClient,
    lines: Lines,
}

impl LogLines {
    /// The next one; `None` when there are no more.
    ///
    /// # Errors
    ///
    /// When the site is gone.
    pub async fn next(&mut self) -> Result<Option<InstanceLine>, ClientError> {
        match self.lines.next().await? {
            Some(line) => self.client.read(&line).map(Some),
            None => Ok(None),
        }
    }
}
