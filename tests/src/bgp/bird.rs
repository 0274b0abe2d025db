//! A running BIRD.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::programs::{Speaker, speaker};
use super::{BirdConfig, Neighbour};
use crate::{Namespace, Process, World, wait_for};

/// How long a session may take to be established.
const SESSION: Duration = Duration::from_secs(30);

/// BIRD 2 in a namespace.
pub struct Bird {
    name: String,
    namespace: Namespace,
    config: PathBuf,
    control: PathBuf,
    program: Speaker,
    client: Speaker,
    process: Rc<RefCell<Process>>,
}

impl Bird {
    /// Starts it, and waits until it can be asked.
    pub fn start(
        world: &World,
        name: &str,
        namespace: &Namespace,
        config: &BirdConfig,
    ) -> Result<Bird> {
        let place = |suffix: &str| world.directory().join(format!("{name}.{suffix}"));
        let (path, control, program) = (place("conf"), place("ctl"), speaker("bird")?);
        fs::write(&path, config.text())?;
        let process = launch(world, name, namespace, &program, &path, &control)?;
        let bird = Bird {
            name: name.to_owned(),
            namespace: namespace.clone(),
            config: path,
            control,
            program,
            client: speaker("birdc")?,
            process,
        };
        bird.wait_until_up()?;
        Ok(bird)
    }

    /// Starts it again, after it was killed.
    pub fn start_again(&mut self, world: &World) -> Result<()> {
        self.process = launch(
            world,
            &self.name,
            &self.namespace,
            &self.program,
            &self.config,
            &self.control,
        )?;
        self.wait_until_up()
    }

    fn wait_until_up(&self) -> Result<()> {
        wait_for(&format!("{} to answer", self.name), SESSION, || {
            ensure!(
                self.process.borrow_mut().is_running(),
                "it ended:\n{}",
                self.process.borrow().log_tail()
            );
            self.ask("show status").map(drop)
        })
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow_mut().kill();
    }

    /// Gives it another configuration; sessions that are in both stay up.
    pub fn reconfigure(&self, config: &BirdConfig) -> Result<()> {
        fs::write(&self.config, config.text())?;
        let said = self.ask("configure")?;
        ensure!(said.contains("Reconfigur"), "{said}");
        Ok(())
    }

    /// What `birdc` says to this.
    pub fn ask(&self, question: &str) -> Result<String> {
        let mut arguments = vec![
            self.client.environment(),
            self.client.program.to_string_lossy().into_owned(),
            "-s".to_owned(),
            self.control.to_string_lossy().into_owned(),
        ];
        arguments.extend(question.split(' ').map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.namespace.run("env", &arguments)
    }

    /// Waits until the session with this neighbour is established.
    pub fn wait_for_session(&self, neighbour: &Neighbour) -> Result<()> {
        let what = format!("the session {} of {}", neighbour.name, self.name);
        wait_for(&what, SESSION, || {
            let said = self.ask(&format!("show protocols {}", neighbour.name))?;
            let line = said
                .lines()
                .find(|line| line.starts_with(&format!("{} ", neighbour.name)))
                .with_context(|| format!("no such session:\n{said}"))?;
            ensure!(line.contains("Established"), "{line}");
            Ok(())
        })
    }
}

fn launch(
    world: &World,
    name: &str,
    namespace: &Namespace,
    program: &Speaker,
    config: &std::path::Path,
    control: &std::path::Path,
) -> Result<Rc<RefCell<Process>>> {
    let pid = control.with_extension("pid");
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    let (environment, program) = (program.environment(), text(&program.program));
    let (config, control, pid) = (text(config), text(control), text(&pid));
    let arguments = [
        &environment,
        &program,
        "-f",
        "-c",
        &config,
        "-s",
        &control,
        "-P",
        &pid,
    ];
    world.start(name, namespace, "env", &arguments)
}
