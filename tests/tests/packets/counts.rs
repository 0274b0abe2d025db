//! Counters, as `lbctl` shows them, and their differences.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use balancer_common::Reason;
use serde_json::Value;
use testbed::Edge;

/// Counters by name; as a difference, only those that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(BTreeMap<String, i64>);

impl Counts {
    /// What the edge has counted so far.
    pub(crate) fn of_edge(edge: &Edge) -> Result<Counts> {
        let mut counts = Counts::default();
        let status = edge.lbctl_json(&["status"])?;
        for reason in items(&status["items"][0]["reasons"])? {
            counts.add(
                format!("reason {}", text(&reason["reason"])?),
                number(&reason["packets"])?,
            );
        }
        let backends = edge.lbctl_json(&["backends", "list"])?;
        for backend in items(&backends["items"])? {
            let whose = format!(
                "{} {}",
                text(&backend["service"])?,
                text(&backend["address"])?
            );
            counts.add(format!("packets to {whose}"), number(&backend["packets"])?);
            counts.add(format!("bytes to {whose}"), number(&backend["bytes"])?);
        }
        Ok(counts)
    }

    /// What an agent has counted so far, of its metrics.
    pub(crate) fn of_agent(metrics: &str) -> Result<Counts> {
        let mut counts = Counts::default();
        for line in metrics.lines() {
            let Some(sample) =
                line.strip_prefix("lb_agent_packets_total{instance=\"one\",reason=\"")
            else {
                continue;
            };
            let (reason, packets) = sample.split_once("\"} ").context("no sample")?;
            counts.add(format!("reason {reason}"), packets.parse()?);
        }
        ensure!(
            metrics.contains("reason=\"decapsulated\""),
            "no counters:\n{metrics}"
        );
        Ok(counts)
    }

    /// One packet that met `reason`.
    pub(crate) fn reason(reason: Reason) -> Counts {
        let mut counts = Counts::default();
        counts.add(format!("reason {}", reason.name()), 1);
        counts
    }

    /// One packet of so many bytes that went to a service's backend.
    pub(crate) fn backend(service: &str, address: &str, bytes: usize) -> Counts {
        let mut counts = Counts::default();
        counts.add(format!("packets to {service} {address}"), 1);
        counts.add(format!("bytes to {service} {address}"), bytes as i64);
        counts
    }

    /// What was counted since.
    pub(crate) fn since(&self, before: &Counts) -> Counts {
        let mut counts = Counts::default();
        for (name, now) in &self.0 {
            counts.add(name.clone(), now - before.0.get(name).unwrap_or(&0));
        }
        counts
    }

    /// Those whose names begin so.
    pub(crate) fn only(mut self, start: &str) -> Counts {
        self.0.retain(|name, _| name.starts_with(start));
        self
    }

    /// Both together.
    pub(crate) fn plus(mut self, other: &Counts) -> Counts {
        for (name, number) in &other.0 {
            self.add(name.clone(), *number);
        }
        self
    }

    fn add(&mut self, name: String, number: i64) {
        if number == 0 {
            return;
        }
        *self.0.entry(name).or_default() += number;
    }
}

fn items(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .with_context(|| format!("no list: {value}"))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}

fn number(value: &Value) -> Result<i64> {
    value
        .as_i64()
        .with_context(|| format!("no number: {value}"))
}
