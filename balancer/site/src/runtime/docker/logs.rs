//! Logs: the engine's, one stream a container, joined; and again from where one stopped after a restart.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    errors::Error,
    query_parameters::{InspectContainerOptions, LogsOptionsBuilder},
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{Docker, container::Part, is_missing};
use crate::runtime::{LogLine, RuntimeError};

/// How often a container that has ended is looked at again.
const LOOK: Duration = Duration::from_millis(250);

type Raw = BoxStream<'static, Result<String, Error>>;

/// Where the reading of one container's log is.
struct Reading {
    docker: Docker,
    part: Part,
    follow: bool,
    tail: String,
    raw: Raw,
    /// The time of the last line that was told, as the engine writes it: of one length, so that they sort as text.
    last: String,
    /// What has come and is no whole line yet.
    partial: String,
    ready: VecDeque<String>,
}

impl Docker {
    pub(super) async fn read_logs(
        &self,
        name: &str,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        // Nothing that is there already is to be told.
        let last = match tail {
            Some(0) => humantime::format_rfc3339_nanos(SystemTime::now()).to_string(),
            _ => String::new(),
        };
        let tail = tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string());
        let parts = self.existing(name).await?;
        let readings = parts.into_iter().map(|part| {
            let reading = Reading {
                raw: self.raw(&part.id, follow, &tail, 0),
                docker: self.clone(),
                part,
                follow,
                tail: tail.clone(),
                last: last.clone(),
                partial: String::new(),
                ready: VecDeque::new(),
            };
            stream::try_unfold(reading, Reading::next).boxed()
        });
        Ok(stream::select_all(readings).boxed())
    }

    fn raw(&self, id: &str, follow: bool, tail: &str, since_seconds: i32) -> Raw {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(follow)
            .tail(tail)
            .since(since_seconds)
            .build();
        self.client
            .logs(id, Some(options))
            .map_ok(|output| output.to_string())
            .boxed()
    }
}

impl Reading {
    async fn next(mut self) -> Result<Option<(LogLine, Self)>, RuntimeError> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                let container = self.part.container.clone();
                return Ok(Some((LogLine { container, text }, self)));
            }
            match self.raw.next().await {
                Some(Ok(chunk)) => self.take(&chunk),
                Some(Err(error)) if is_missing(&error) => return Ok(None),
                Some(Err(error)) => {
                    let what = format!("read the log of {}", self.part.instance);
                    return Err(self.docker.refused(what)(error));
                }
                None if self.follow => {
                    if !self.reads_on().await? {
                        return Ok(None);
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// Each whole line that was not told before, without the time in front of it.
    fn take(&mut self, chunk: &str) {
        self.partial.push_str(chunk);
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            let Some((time, text)) = line.trim_end_matches(['\n', '\r']).split_once(' ') else {
                continue;
            };
            if *time > *self.last {
                self.last = time.to_owned();
                self.ready.push_back(text.to_owned());
            }
        }
    }

    /// Reads on from the last line; false when the container was removed. A container that has ended ends its stream
    /// at once.
    async fn reads_on(&mut self) -> Result<bool, RuntimeError> {
        tokio::time::sleep(LOOK).await;
        let id = &self.part.id;
        let inspected = self
            .docker
            .client
            .inspect_container(id, None::<InspectContainerOptions>);
        match inspected.await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Ok(false),
            Err(error) => {
                let what = format!("follow the log of {}", self.part.instance);
                return Err(self.docker.refused(what)(error));
            }
        }
        // The engine takes whole seconds; what is told twice is left out by its time.
        let since = humantime::parse_rfc3339(&self.last).ok();
        let since = since.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.raw = match since.and_then(|since| i32::try_from(since.as_secs()).ok()) {
            Some(since) => self.docker.raw(id, true, "all", since),
            None => self.docker.raw(id, true, &self.tail, 0),
        };
        Ok(true)
    }
}
