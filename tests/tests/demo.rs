//! The demo cleans up after itself, however it ends. (`cargo xtask readme` runs it to its good end.)

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Traces, World, attach_pass, program};

/// What one leaves would be the next one's: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Reads what the demo says until a line begins like this.
fn read_until(demo: &mut Child, beginning: &str) -> Result<()> {
    let said = BufReader::new(demo.stdout.as_mut().context("its output is ours")?);
    for line in said.lines() {
        if line?.starts_with(beginning) {
            return Ok(());
        }
    }
    anyhow::bail!("the demo ended before {beginning:?}")
}

/// What a demo and others take for the machine: here the list of network namespaces and the record of what is kept up are
/// nobody else's.
struct Machine(Child);

impl Machine {
    fn new() -> Result<Machine> {
        let own =
            "mount -t tmpfs machine /run && mkdir /run/netns && echo ready && exec sleep infinity";
        let mut keeper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", own])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        read_until(&mut keeper, "ready")?;
        Ok(Machine(keeper))
    }

    /// A command that will see it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.0.id().to_string();
        command.args(["--mount", "--target", &target, program]);
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let done = self.command(program).args(arguments).status()?;
        ensure!(done.success(), "{program} {arguments:?}: {done}");
        Ok(())
    }

    fn start_demo(&self, arguments: &[&str]) -> Result<Child> {
        let program = program("demo")?;
        self.command(&program.display().to_string())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the demo")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What an interrupted demo says when nothing of it is left.
const CLEAN: &str = "demo: failed: nothing is left behind: interrupted";

/// Interrupts a demo, whose check comes then: what it says. (How fast the demo is has to do with what else is going on.)
fn interrupted(demo: Child) -> Result<String> {
    kill(Pid::from_raw(demo.id().try_into()?), Signal::SIGINT)?;
    let done = demo.wait_with_output()?;
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.code() == Some(1), "{}: {error}", done.status);
    Ok(error)
}

/// The process id of one of the demo's instances.
fn an_instance_of(demo: &Child) -> Result<u32> {
    let instance = program("instance")?;
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let is_demos = |pid: &u32| {
        let runs = fs::read_link(format!("/proc/{pid}/exe"));
        let mut ancestors = std::iter::successors(Some(*pid), |pid| parent(*pid));
        runs.is_ok_and(|runs| runs == instance) && ancestors.any(|pid| pid == demo.id())
    };
    let processes = fs::read_dir("/proc")?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(is_demos).context("the demo has instances")
}

#[test]
fn others_may_come_and_go_while_a_demo_looks_for_what_it_left() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    // Another run's.
    let world = World::new()?;
    let other = world.add_namespace("other")?;
    other.ip("link add eth0 type veth peer name p0")?;
    let machine = Machine::new()?;
    let mut demo = machine.start_demo(&[])?;
    read_until(&mut demo, "== Ten curls")?;
    machine.run("ip", &["netns", "add", "stranger"])?;
    let instance = program("instance")?;
    let instance = world.start("stranger", &other, instance, &["--name", "stranger"])?;
    attach_pass(&world, &other, "eth0")?;
    let error = interrupted(demo)?;
    ensure!(error.contains(CLEAN), "{error}");
    ensure!(instance.borrow_mut().is_running(), "the stranger has ended");
    Ok(())
}

#[test]
fn what_a_demo_leaves_is_told_by_its_name() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new()?;
    let mut demo = machine.start_demo(&[])?;
    read_until(&mut demo, "== Ten curls")?;
    // As if the demo had not kept its list of namespaces to itself.
    let namespace = format!("/proc/{}/ns/net", an_instance_of(&demo)?);
    let place = "/run/netns/forgotten";
    machine.run("touch", &[place])?;
    machine.run("mount", &["--bind", &namespace, place])?;
    let error = interrupted(demo)?;
    let told = error.contains("left behind: namespace ")
        && error.contains(" at /run/netns/forgotten (net:[");
    ensure!(told, "{error}");
    Ok(())
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new()?;
    let before = Traces::take()?;
    let mut demo = machine.start_demo(&[])?;
    read_until(&mut demo, "== Ten curls")?;
    let error = interrupted(demo)?;
    ensure!(error.contains(CLEAN), "{error}");
    before.nothing_new()
}

#[test]
fn a_killed_demo_leaves_nothing_behind() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new()?;
    let before = Traces::take()?;
    let mut demo = machine.start_demo(&[])?;
    read_until(&mut demo, "== Ten curls")?;
    demo.kill()?;
    demo.wait()?;
    before.nothing_new()
}

#[test]
fn a_story_is_not_kept_and_says_what_is() -> Result<()> {
    let refused = Machine::new()?
        .start_demo(&["story", "--keep"])?
        .wait_with_output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("`cargo xtask demo --keep`"), "{said}");
    Ok(())
}

#[test]
fn a_kept_demo_can_be_tried_until_it_is_cleaned() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::new()?;
    let before = Traces::take()?;
    let done = machine.start_demo(&["--keep"])?.wait_with_output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let to_try: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("nsenter "))
        .collect();
    assert!(!to_try.is_empty(), "{said}");
    for command in to_try {
        let tried = Command::new("sh").args(["-c", command]).output()?;
        assert!(
            tried.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&tried.stderr)
        );
    }
    let second = machine.start_demo(&[])?.wait_with_output()?;
    let refusal = String::from_utf8_lossy(&second.stderr);
    assert!(refusal.contains("cargo xtask clean"), "{refusal}");
    let cleaned = machine.start_demo(&["--clean"])?.wait_with_output()?;
    assert!(
        cleaned.status.success(),
        "{}",
        String::from_utf8_lossy(&cleaned.stderr)
    );
    before.nothing_new()
}
