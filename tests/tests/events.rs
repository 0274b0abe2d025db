//! The event interface as an autoscaler uses it: curl over TCP, in namespaces, with real packets.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testbed::{
    Agent, Edge, EdgeOptions, Load, Protocol, Topology, World, assert_native_xdp, wait_for,
};

const PATIENCE: Duration = Duration::from_secs(20);
const API: &str = "http://10.1.0.2:9118";
const AGENT: &str = "http://10.1.0.1:9110";
const TOKEN: &str = "Authorization: Bearer secret";

/// A site without backends, whose agent attends nobody yet.
struct Scene {
    topology: Topology,
    edge: Edge,
    agent: Agent,
}

impl Scene {
    fn start(world: &World) -> Result<Scene> {
        Scene::with(world, &["one"])
    }

    fn with(world: &World, instances: &[&str]) -> Result<Scene> {
        let topology = Topology::build(world, instances)?;
        let token = world.directory().join("token");
        fs::write(&token, "secret\n")?;
        let token = token.display();
        let directory = world.directory().join("instances.d");
        let agent = format!(
            "edges = {0:?}\npeers = {0:?}\ninstance_dir = \"{1}\"\napi_listen = \"10.1.0.1:9110\"\napi_token_file = \"{token}\"\n",
            Topology::FABRIC,
            directory.display()
        );
        let agent = Agent::start_with(world, &topology.router, &agent)?;
        let settings = format!(
            "api_listen = \"10.1.0.2:9118\"\napi_token_file = \"{token}\"\nagent_token_file = \"{token}\"\n"
        );
        let options = EdgeOptions {
            settings,
            ..EdgeOptions::default()
        };
        let edge = Edge::start(world, "edge", &topology.edge, &options)?;
        Ok(Scene {
            topology,
            edge,
            agent,
        })
    }

    /// The status and the body of an answer to curl, which runs in the router's namespace.
    fn curl(&self, arguments: &[&str]) -> Result<(u16, Value)> {
        let fixed = ["-sS", "--max-time", "70", "-w", "\n%{http_code}"];
        let said = self
            .topology
            .router
            .run("curl", &[&fixed[..], arguments].concat())?;
        let (body, status) = said.trim().rsplit_once('\n').context("no status")?;
        Ok((status.parse()?, serde_json::from_str(body)?))
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let (status, body) = self.curl(&["-H", TOKEN, &format!("{API}{path}")])?;
        ensure!(status == 200, "{path}: {status}: {body}");
        Ok(body)
    }

    /// Sends an event in binary mode.
    fn tell(&self, id: &str, kind: &str, data: &str) -> Result<(u16, Value)> {
        self.curl(&[
            "-H",
            TOKEN,
            "-H",
            "Content-Type: application/json",
            "-H",
            "ce-specversion: 1.0",
            "-H",
            &format!("ce-id: {id}"),
            "-H",
            "ce-source: /autoscaler",
            "-H",
            &format!("ce-type: backend.{kind}"),
            "-d",
            data,
            &format!("{API}/v1/events"),
        ])
    }

    fn declare(&self) -> Result<(u16, Value)> {
        let service = r#"{"vip":"198.51.100.10","port":8000}"#;
        let url = format!("{API}/v1/services/web");
        self.curl(&["-X", "PUT", "-H", TOKEN, "-d", service, &url])
    }

    fn requests(&self, count: usize) -> Result<Load> {
        let target = (Topology::vip_v4(10), Topology::PORT).into();
        Load::send(&self.topology.client, target, Protocol::Tcp, 500, count)
    }
}

fn in_seconds(seconds: u64) -> String {
    let said = std::process::Command::new("date")
        .args([
            "-u",
            "-d",
            &format!("+{seconds} seconds"),
            "+%Y-%m-%dT%H:%M:%SZ",
        ])
        .output()
        .expect("date runs");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

/// Writes the file that declares an instance to the agent, and waits until it is attended.
fn attend(world: &World, scene: &Scene, name: &str) -> Result<std::path::PathBuf> {
    let instance = &scene.topology.instance(name)?.namespace;
    let file = world.directory().join(format!("instances.d/{name}.toml"));
    let text = format!(
        "name = \"{name}\"\nnetns = \"{}\"\nvips = [\"198.51.100.10\"]\n",
        instance.path().display()
    );
    fs::write(&file, text)?;
    wait_for("the instance to be attended", PATIENCE, || {
        assert_native_xdp(instance, "eth0")
    })?;
    Ok(file)
}

// Promise: V2
#[test]
fn a_backend_serves_from_its_launch_and_its_drain_ends_with_its_last_connection() -> Result<()> {
    let world = World::new()?;
    let mut scene = Scene::start(&world)?;
    attend(&world, &scene, "one")?;
    assert_eq!(scene.declare()?.0, 200);
    assert_eq!(scene.declare()?.1["outcome"]["changed"], false);
    let launched = format!(
        r#"{{"service":"web","address":"10.1.0.10","incarnation":1,"agent":"{AGENT}","instance":"one"}}"#
    );
    assert_eq!(scene.tell("1", "launched", &launched)?.0, 200);
    wait_for("the first answer", PATIENCE, || {
        let load = scene.requests(5)?;
        ensure!(load.failed() == 0, "{:?}", load.failures());
        Ok(())
    })?;

    let open = scene
        .topology
        .client
        .enter(|| TcpStream::connect((Topology::vip_v4(10), Topology::PORT)))??;
    let deadline = in_seconds(120);
    let terminating = format!(
        r#"{{"service":"web","address":"10.1.0.10","incarnation":1,"deadline":"{deadline}"}}"#
    );
    let (status, answer) = scene.tell("2", "terminating", &terminating)?;
    let id = "web~10.1.0.10~1";
    assert_eq!((status, answer["operation"].as_str()), (202, Some(id)));
    let path = format!("/v1/operations/{id}");
    let one_socket = |scene: &Scene| -> Result<()> {
        let now = scene.ask(&path)?;
        ensure!(now["state"] == "running" && now["sockets"] == 1, "{now}");
        Ok(())
    };
    wait_for("its socket to be counted", PATIENCE, || one_socket(&scene))?;
    assert_eq!(scene.ask(&format!("{path}?wait=3s"))?["state"], "running");
    // Late and repeated, over a restart: the same drain.
    scene.edge.kill();
    scene.edge.start_again(&world)?;
    assert_eq!(
        scene.tell("1", "launched", &launched)?.1["outcome"]["changed"],
        false
    );
    let again = scene.tell("2", "terminating", &terminating)?;
    assert_eq!(
        (again.0, &again.1["operation"]),
        (202, &answer["operation"])
    );
    wait_for("its socket to be counted again", PATIENCE, || {
        one_socket(&scene)
    })?;

    let closed = std::time::Instant::now();
    drop(open);
    let done = scene.ask(&format!("{path}?wait=60s"))?;
    assert_eq!(
        (&done["state"], &done["reason"]),
        (&"done".into(), &"drained".into())
    );
    ensure!(
        closed.elapsed() >= Duration::from_secs(2),
        "after {:?}",
        closed.elapsed()
    );

    let terminated = r#"{"service":"web","address":"10.1.0.10","incarnation":1}"#;
    assert_eq!(scene.tell("3", "terminated", terminated)?.0, 200);
    assert!(scene.edge.backends()?.is_empty());
    assert_eq!(scene.tell("1", "launched", &launched)?.0, 200);
    assert!(
        scene.edge.backends()?.is_empty(),
        "a late event brought it back"
    );

    // A later life without an agent: only the deadline ends its drain.
    let launched = r#"{"service":"web","address":"10.1.0.10","incarnation":2}"#;
    scene.tell("4", "launched", launched)?;
    let terminating = format!(
        r#"{{"service":"web","address":"10.1.0.10","incarnation":2,"deadline":"{}"}}"#,
        in_seconds(3)
    );
    scene.tell("5", "terminating", &terminating)?;
    let done = scene.ask("/v1/operations/web~10.1.0.10~2?wait=30s")?;
    assert_eq!(
        (&done["reason"], &done["sockets"]),
        (&"deadline".into(), &Value::Null)
    );
    wait_for("the backend to go", PATIENCE, || {
        match scene.edge.backends()? {
            none if none.is_empty() => Ok(()),
            some => bail!("{some:?}"),
        }
    })
}

// Promise: V1
#[test]
fn no_request_fails_while_one_of_two_backends_is_terminated() -> Result<()> {
    let world = World::new()?;
    let names = ["one", "two"];
    let scene = Scene::with(&world, &names)?;
    assert_eq!(scene.declare()?.0, 200);
    for name in names {
        attend(&world, &scene, name)?;
        let address = scene.topology.instance(name)?.ipv4;
        let launched = format!(
            r#"{{"service":"web","address":"{address}","incarnation":1,"agent":"{AGENT}","instance":"{name}"}}"#
        );
        assert_eq!(scene.tell(name, "launched", &launched)?.0, 200);
    }
    wait_for("both to answer", PATIENCE, || {
        let load = scene.requests(100)?;
        ensure!(load.failed() == 0, "{:?}", load.failures());
        load.ensure_balanced(&names, 10)
    })?;

    let load = Load::start(
        &scene.topology.client,
        (Topology::vip_v4(10), Topology::PORT).into(),
        Protocol::Tcp,
        500,
    )?;
    let going = scene.topology.instance("one")?;
    let of_one = format!(
        r#""service":"web","address":"{}","incarnation":1"#,
        going.ipv4
    );
    let terminating = format!(r#"{{{of_one},"deadline":"{}"}}"#, in_seconds(60));
    assert_eq!(scene.tell("3", "terminating", &terminating)?.0, 202);
    let path = format!("/v1/operations/web~{}~1?wait=50s", going.ipv4);
    let done = scene.ask(&path)?;
    assert_eq!(
        (&done["state"], &done["reason"]),
        (&"done".into(), &"drained".into()),
        "{done}"
    );
    // What an autoscaler does then: the process, the word, the file.
    going.kill();
    assert_eq!(
        scene.tell("4", "terminated", &format!("{{{of_one}}}"))?.0,
        200
    );
    fs::remove_file(world.directory().join("instances.d/one.toml"))?;
    wait_for("the backend to go", PATIENCE, || {
        match scene.edge.backends()?.len() {
            1 => Ok(()),
            other => bail!("{other} backends"),
        }
    })?;
    let load = load.stop()?;
    assert_eq!(load.failed(), 0, "{:?}", load.failures());
    scene.requests(100)?.ensure_balanced(&["two"], 100)
}

// Promise: V3
#[test]
fn strangers_and_what_is_no_event_are_refused() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world)?;
    let url = format!("{API}/v1/status");
    assert_eq!(scene.curl(&[&url])?.0, 401);
    let wrong = "Authorization: Bearer secre7";
    let (status, answer) = scene.curl(&["-H", wrong, &url])?;
    assert_eq!((status, &answer["code"]), (401, &"unauthorized".into()));
    assert_eq!(scene.curl(&["-H", TOKEN, &url])?.0, 200);
    let agent = format!("{AGENT}/v1/sockets?vip=198.51.100.10&port=8000");
    assert_eq!(scene.curl(&[&agent])?.0, 401);
    let data = r#"{"service":"web","address":"10.1.0.10"}"#;
    let (status, answer) = scene.tell("1", "launched", data)?;
    assert_eq!(status, 404, "no such service: {answer}");
    let (status, answer) = scene.tell("1", "exploded", data)?;
    assert_eq!(status, 400);
    let sentence = answer["error"].as_str().unwrap_or_default();
    ensure!(sentence.contains("backend.terminating"), "{sentence}");
    let batch = "Content-Type: application/cloudevents-batch+json";
    let (status, _) = scene.curl(&[
        "-H",
        TOKEN,
        "-H",
        batch,
        "-d",
        "[]",
        &format!("{API}/v1/events"),
    ])?;
    assert_eq!(status, 415);
    let missing = format!("{API}/v1/operations/web~10.1.0.10~1");
    assert_eq!(scene.curl(&["-H", TOKEN, &missing])?.0, 404);
    Ok(())
}

// Promise: A7, V4
#[test]
fn the_agent_tells_which_instances_packets_reach_and_so_after_trouble() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world)?;
    let url = format!("{AGENT}/v1/instances");
    assert_eq!(scene.curl(&[&url])?.0, 401);
    let told = |expected: &Value| {
        wait_for(&format!("the agent to tell {expected}"), PATIENCE, || {
            let (status, body) = scene.curl(&["-H", TOKEN, &url])?;
            ensure!(
                status == 200 && body["items"] == *expected,
                "{status}: {body}"
            );
            Ok(())
        })
    };
    told(&json!([]))?;
    let netns = world.directory().join("netns-of-one");
    symlink(scene.topology.instance("one")?.namespace.path(), &netns)?;
    let text = format!(
        "name = \"one\"\nnetns = \"{}\"\nvips = [\"198.51.100.10\"]\n",
        netns.display()
    );
    fs::write(world.directory().join("instances.d/one.toml"), text)?;
    let one = |attached: bool| {
        json!([{
            "name": "one", "netns": netns, "vips": ["198.51.100.10"], "attached": attached
        }])
    };
    told(&one(true))?;
    // The agent does not find its namespace for a while, in which the programs stay.
    fs::remove_file(&netns)?;
    told(&one(false))?;
    symlink(scene.topology.instance("one")?.namespace.path(), &netns)?;
    told(&one(true))
}

// Promise: V4
#[test]
fn an_instance_comes_and_goes_with_its_file() -> Result<()> {
    let world = World::new()?;
    let scene = Scene::start(&world)?;
    let broken = world.directory().join("instances.d/broken.toml");
    fs::write(&broken, "name = \"two\"\nnetns = 7\n")?;
    let file = attend(&world, &scene, "one")?;
    let instance = &scene.topology.instance("one")?.namespace;
    let on_lo = || instance.run("ip", &["-oneline", "address", "show", "dev", "lo"]);
    ensure!(on_lo()?.contains("198.51.100.10/32"), "{}", on_lo()?);
    fs::remove_file(&file)?;
    wait_for("programs, pins and VIP to go", PATIENCE, || {
        let link = instance.run("ip", &["link", "show", "dev", "eth0"])?;
        ensure!(!link.contains("prog/xdp"), "{link}");
        ensure!(!on_lo()?.contains("198.51.100.10"), "{}", on_lo()?);
        ensure!(!Agent::pins(&world, "one").exists(), "pins");
        Ok(())
    })?;
    let log = scene.agent.log();
    ensure!(
        log.matches("broken.toml:2: key `netns`").count() == 1,
        "{log}"
    );
    Ok(())
}
