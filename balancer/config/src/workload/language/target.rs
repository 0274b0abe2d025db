//! A `target` block.

use super::section::Section;
use crate::workload::{Target, rules::MAX_REPLICAS};
use balancer_core::model::{City, Label};

/// Reads a target; `None` if something is wrong with it.
pub(super) fn target(section: &Section<'_>) -> Option<Target> {
    section.knows(&[
        "name",
        "min_replicas",
        "max_replicas",
        "scale_settings",
        "deployment_scope",
        "selector",
    ]);
    if let Some(scope) = section.field("deployment_scope") {
        scope.word(&[("cityCode", ())]);
    }
    let name = section.required("name", Label::EXPECTED);
    let name = name.and_then(|field| field.parse(Label::EXPECTED));
    let min = section.required("min_replicas", "how many instances each city has at least");
    let min = min.and_then(|field| field.integer(1..=MAX_REPLICAS));
    let max = section.field("max_replicas");
    let max = max.map(|field| field.integer(1..=MAX_REPLICAS));
    let scale = section.section("scale_settings");
    if let (Some(scale), None) = (&scale, section.has("max_replicas")) {
        let problem = "it scales, and `max_replicas` is missing";
        let expected = "how many instances each city has at most";
        scale.error("", problem, expected);
    }
    let cpu_percent = scale.as_ref().map(percent);
    let cities = cities(section);
    let min_replicas = min?;
    Some(Target {
        name: name?,
        min_replicas,
        max_replicas: max.unwrap_or(Some(min_replicas))?,
        cpu_percent: cpu_percent.map_or(Some(None), |percent| percent.map(Some))?,
        cities: cities?,
    })
}

fn percent(section: &Section<'_>) -> Option<u32> {
    section.knows(&["metrics"]);
    let Some(metrics) = section.section("metrics") else {
        let expected = "`metrics { metric = \"cpu\", average_utilization = 50 }`";
        section.error("metrics", "it is missing", expected);
        return None;
    };
    metrics.knows(&["metric", "average_utilization", "average_value"]);
    if let Some(metric) = metrics.required("metric", "\"cpu\"") {
        metric.word(&[("cpu", ())]);
    }
    if metrics.has("average_value").is_some() {
        let problem = "an amount of CPU is not aimed at";
        metrics.error(
            "average_value",
            problem,
            "`average_utilization`, in percent",
        );
        return None;
    }
    let field = metrics.required("average_utilization", "a whole number, 1 to 100")?;
    field.integer(1..=100)
}

fn cities(section: &Section<'_>) -> Option<Vec<City>> {
    let Some(selector) = section.section("selector") else {
        let expected = "`selector { key = \"cityCode\", operator = \"in\", values = [\"SEA\"] }`";
        section.error("selector", "it is missing", expected);
        return None;
    };
    selector.knows(&["key", "operator", "values"]);
    if let Some(key) = selector.required("key", "\"cityCode\"") {
        key.word(&[("cityCode", ())]);
    }
    if let Some(operator) = selector.required("operator", "\"in\"") {
        operator.word(&[("in", ())]);
    }
    let expected = "city codes, such as [\"SEA\"]";
    let values = selector.required("values", expected)?.list(expected)?;
    let cities: Vec<Option<City>> = values
        .iter()
        .map(|value| {
            selector.remember(&value.path, &value.value.place);
            value.parse(City::EXPECTED)
        })
        .collect();
    cities.into_iter().collect()
}
