//! A `container` block.

use std::collections::{BTreeMap, BTreeSet};

use balancer_core::model::{Label, Protocol};

use super::{
    probe::probe,
    section::{Field, Section},
};
use crate::workload::{Container, Port, quantity};

const KNOWN: [&str; 10] = [
    "name",
    "image",
    "command",
    "port",
    "resources",
    "env",
    "readiness_probe",
    "liveness_probe",
    "volume_mount",
    "security_context",
];

/// Reads a container; `None` if something is wrong with it.
pub(super) fn container(section: &Section<'_>) -> Option<Container> {
    section.knows(&KNOWN);
    if section.has("volume_mount").is_some() {
        let problem = "there are no volumes, and what is written would be lost";
        let expected = "a container that keeps its data elsewhere";
        section.error("volume_mount", problem, expected);
    }
    if section.has("security_context").is_some() {
        let problem = "it is not applied, and the container would have other rights";
        section.error("security_context", problem, "a container without it");
    }
    let name = section.required("name", Label::EXPECTED);
    let image = section.required("image", IMAGE);
    let image = image.and_then(|field| image_name(&field));
    let command = section.field("command").map(|field| command(&field));
    let ports: Vec<Option<Port>> = section.sections("port").iter().map(port).collect();
    let (cpu_millis, memory_bytes) = requests(section);
    let env = env(section);
    let readiness = section.section("readiness_probe").map(|s| probe(&s));
    let liveness = section.section("liveness_probe").map(|s| probe(&s));
    let (env, sensitive) = env?;
    Some(Container {
        name: name?.parse(Label::EXPECTED)?,
        image: image?,
        command: command.unwrap_or_else(|| Some(Vec::new()))?,
        ports: ports.into_iter().collect::<Option<_>>()?,
        cpu_millis: cpu_millis?,
        memory_bytes: memory_bytes?,
        env,
        sensitive,
        readiness: readiness.map_or(Some(None), |probe| probe.map(Some))?,
        liveness: liveness.map_or(Some(None), |probe| probe.map(Some))?,
    })
}

const IMAGE: &str = "an image, such as \"nginx:latest\"";

fn image_name(field: &Field<'_>) -> Option<String> {
    let image = field.text(IMAGE)?;
    let first = image
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric());
    if !first || !image.chars().all(|c| c.is_ascii_graphic()) || image.len() > 255 {
        field.error(format!("{image:?}"), IMAGE);
        return None;
    }
    Some(image)
}

fn command(field: &Field<'_>) -> Option<Vec<String>> {
    let expected = "a list of strings, such as [\"python3\", \"app.py\"]";
    let words = field.list(expected)?;
    let word = |word: &Field<'_>| without_nul(word, word.text("a string")?);
    words.iter().map(word).collect()
}

/// A text that a process can be given.
fn without_nul(field: &Field<'_>, text: String) -> Option<String> {
    if text.contains('\0') {
        field.error("it contains a NUL", "text without it");
        return None;
    }
    Some(text)
}

fn port(section: &Section<'_>) -> Option<Port> {
    section.knows(&["name", "port", "protocol", "enable_implicit_network_policy"]);
    let name = section.required("name", Label::EXPECTED);
    let port = section.required("port", "a whole number, 1 to 65535");
    let protocol = match section.field("protocol") {
        Some(field) => field.word(&[("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)]),
        None => Some(Protocol::Tcp),
    };
    let public = match section.field("enable_implicit_network_policy") {
        Some(field) => field.boolean(),
        None => Some(false),
    };
    let name = name.and_then(|field| field.parse(Label::EXPECTED));
    let port = port.and_then(|field| field.integer(1..=65_535));
    Some(Port {
        name: name?,
        port: u16::try_from(port?).ok()?,
        protocol: protocol?,
        public: public?,
    })
}

/// CPU in thousandths and memory in bytes.
fn requests(section: &Section<'_>) -> (Option<u32>, Option<u64>) {
    let example = "`resources { requests = { \"cpu\" = \"1\", \"memory\" = \"2Gi\" } }`";
    let Some(resources) = section.section("resources") else {
        if section.has("resources").is_none() {
            section.error("resources", "it is missing", example);
        }
        return (None, None);
    };
    resources.knows(&["requests"]);
    let Some(requests) = resources.section("requests") else {
        if resources.has("requests").is_none() {
            resources.error("requests", "it is missing", example);
        }
        return (None, None);
    };
    requests.knows(&["cpu", "memory"]);
    let cpu = requests.required("cpu", quantity::CPU);
    let memory = requests.required("memory", quantity::MEMORY);
    (
        cpu.and_then(|field| amount(&field, quantity::CPU, quantity::cpu_millis)),
        memory.and_then(|field| amount(&field, quantity::MEMORY, quantity::memory_bytes)),
    )
}

fn amount<T>(field: &Field<'_>, expected: &str, read: fn(&str) -> Option<T>) -> Option<T> {
    let text = field.text(expected)?;
    let amount = read(&text);
    if amount.is_none() {
        field.error(format!("{text:?}"), expected);
    }
    amount
}

/// The environment, and the names in it whose values are never shown.
fn env(section: &Section<'_>) -> Option<(BTreeMap<String, String>, BTreeSet<String>)> {
    let (mut env, mut sensitive) = (BTreeMap::new(), BTreeSet::new());
    let mut whole = true;
    for variable in section.sections("env") {
        match env_variable(&variable) {
            Some((key, ..)) if env.contains_key(&key) => {
                let problem = format!("{key:?} is set already");
                variable.error("key", problem, "each key once");
                whole = false;
            }
            Some((key, value, secret)) => {
                if secret {
                    sensitive.insert(key.clone());
                }
                env.insert(key, value);
            }
            None => whole = false,
        }
    }
    whole.then_some((env, sensitive))
}

fn env_variable(section: &Section<'_>) -> Option<(String, String, bool)> {
    let expected = "a name, such as \"PYTHONUNBUFFERED\"";
    section.knows(&["key", "value", "secret_value"]);
    let key = section.required("key", expected);
    let (value, secret) = (section.field("value"), section.field("secret_value"));
    if section.has("value").is_none() && section.has("secret_value").is_none() {
        section.error("value", "it is missing", "a string");
    }
    if value.is_some() && secret.is_some() {
        let problem = "it has a `value`, too";
        section.error("secret_value", problem, "one of them");
        return None;
    }
    let key = key.and_then(|field| {
        let key = field.text(expected)?;
        let fits = !key.is_empty() && !key.contains(['=', '\0']);
        if !fits {
            field.error(format!("{key:?} can be no variable's name"), expected);
        }
        fits.then_some(key)
    });
    let hidden = secret.is_some() || value.as_ref().is_some_and(|v| v.value.is_sensitive());
    let field = secret.or(value)?;
    let value = without_nul(&field, field.secret_text("a string")?);
    Some((key?, value?, hidden))
}
