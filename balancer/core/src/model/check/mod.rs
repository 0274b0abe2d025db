//! How a backend's health is asked for.
//!
//! A kind of check is one line of [`kinds`] and one file beside this one: its fields, its bounds, and how people read it. What asks is
//! in `balancer_host::health`, one file a kind, too.

mod http;
mod spec;
mod tcp;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use self::{http::Http, spec::CheckSpec, tcp::Tcp};
use super::{Broken, PORT};

/// A health check of every backend of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// The TCP port asked; usually the service's own.
    pub port: u16,
    /// From the start of one probe to the start of the next, in milliseconds; jittered by 10 %, only ever earlier.
    pub interval_ms: u32,
    /// A probe without an answer for this long, in milliseconds, has failed; at most the interval.
    pub timeout_ms: u32,
    /// Passed probes in a row that make a down backend healthy.
    pub rise: u8,
    /// Failed probes in a row that make a healthy backend down.
    pub fall: u8,
}

impl Check {
    /// The interval of a check that says nothing of it, in milliseconds.
    pub const INTERVAL_MS: u32 = 1_000;
    /// The timeout of a check that says nothing of it, in milliseconds; the interval if that is shorter.
    pub const TIMEOUT_MS: u32 = 500;
    /// The rise of a check that says nothing of it.
    pub const RISE: u8 = 2;
    /// The fall of a check that says nothing of it.
    pub const FALL: u8 = 3;

    /// What an interval has to be.
    pub const INTERVAL: &str = "at least 1 ms";
    /// What a timeout has to be.
    pub const TIMEOUT: &str = "1 ms up to the interval";
    /// What rise and fall have to be.
    pub const PROBES: &str = "1 to 255";

    /// From the start of one probe to the start of the next.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.into())
    }

    /// How long a probe may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.into())
    }

    /// Its bounds.
    ///
    /// # Errors
    ///
    /// The first that it is outside of.
    pub fn check_bounds(&self) -> Result<(), Broken> {
        self.kind.check_bounds()?;
        let zero = |key, expected| Err(Broken::key(key, "it is 0", expected));
        let (timeout, interval) = (self.timeout_ms, self.interval_ms);
        match self {
            Check { port: 0, .. } => zero("check.port", PORT),
            Check { interval_ms: 0, .. } => zero("check.interval_ms", Self::INTERVAL),
            _ if timeout == 0 || timeout > interval => {
                let problem = format!("{timeout} ms with an interval of {interval} ms");
                Err(Broken::key("check.timeout_ms", problem, Self::TIMEOUT))
            }
            Check { rise: 0, .. } => zero("check.rise", Self::PROBES),
            Check { fall: 0, .. } => zero("check.fall", Self::PROBES),
            _ => Ok(()),
        }
    }
}

/// In short: `http :8000/healthz every 1000 ms`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.kind.asked(self.port);
        write!(f, "{asked} every {} ms", self.interval_ms)
    }
}

/// What each kind of check knows of itself.
trait KindOfCheck {
    /// It, out of its own fields of a spec; those that it takes belong to it.
    fn take(spec: &mut CheckSpec) -> Self
    where
        Self: Sized;

    /// Its own fields, put into a spec.
    fn put(&self, spec: &mut CheckSpec);

    /// The bounds of its own fields.
    fn check_bounds(&self) -> Result<(), Broken>;

    /// What it asks behind a port, for people: `/healthz`; empty if there is nothing to say.
    fn path(&self) -> &str;
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $Kind:ident,)+) => {
        /// What a probe asks of a backend's own address.
        #[derive(
            Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::EnumDiscriminants,
        )]
        #[serde(tag = "type", rename_all = "snake_case")]
        #[strum_discriminants(
            name(CheckType),
            doc = "The kind of a check alone: the word in its `type`.",
            derive(Serialize, Deserialize, strum::Display, strum::EnumMessage, strum::EnumString, strum::VariantArray, strum::VariantNames),
            serde(rename_all = "snake_case"),
            strum(serialize_all = "snake_case")
        )]
        pub enum CheckKind { $($(#[doc = $doc])+ $Kind($Kind),)+ }

        impl CheckKind {
            fn kind(&self) -> &dyn KindOfCheck {
                match self { $(Self::$Kind(kind) => kind,)+ }
            }

            /// What a spec asks; the fields that belong to its type are taken out.
            fn take(spec: &mut CheckSpec) -> Self {
                match spec.kind { $(CheckType::$Kind => Self::$Kind($Kind::take(spec)),)+ }
            }
        }
    };
}

kinds! {
    /// A TCP connection is accepted.
    Tcp,
    /// `GET path` over HTTP/1.1 answers with a status from 200 to 399.
    Http,
}

impl CheckKind {
    /// What is asked at a port, in short: `tcp :8000`, `http :8000/healthz`.
    pub fn asked(&self, port: u16) -> String {
        format!("{} :{port}{}", CheckType::from(self), self.kind().path())
    }

    /// The bounds of what belongs to its type alone.
    ///
    /// # Errors
    ///
    /// The first that it is outside of.
    pub fn check_bounds(&self) -> Result<(), Broken> {
        self.kind().check_bounds()
    }
}
