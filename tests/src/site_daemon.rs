//! The real `lbd site` on a city's host.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use balancer::api::client::Client;
use balancer::api::endpoint::Endpoint;
use balancer::site_api::client::SiteClient;

use crate::lb::launch_with;
use crate::{Namespace, Process, Staffed, World};

/// `lbd site` of a city.
pub struct SiteDaemon {
    city: String,
    name: String,
    host: Namespace,
    arguments: Vec<String>,
    socket: PathBuf,
    process: RefCell<Rc<RefCell<Process>>>,
}

impl SiteDaemon {
    /// Starts it with further arguments, and waits until it is ready.
    pub fn start(
        world: &World,
        staffed: &Staffed,
        fleet: &Path,
        further: &[&str],
    ) -> Result<SiteDaemon> {
        let city = staffed.city.code.to_owned();
        let name = format!("site-{}", city.to_lowercase());
        let text = |path: &Path| -> Result<String> {
            let text = path.to_str().context("a path of ours is text")?;
            Ok(text.to_owned())
        };
        let state = world.directory().join(format!("{name}-state"));
        let mut arguments = vec![
            "site".to_owned(),
            "--fleet".to_owned(),
            text(fleet)?,
            "--city".to_owned(),
            city.clone(),
            "--state-dir".to_owned(),
            text(&state)?,
        ];
        arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
        let host = staffed.city.host.clone();
        let (process, _) = launch_with(world, &name, &host, &arguments)?;
        Ok(SiteDaemon {
            city,
            name,
            host,
            arguments,
            socket: staffed.site_socket(world),
            process: RefCell::new(process),
        })
    }

    /// Its city's code.
    pub fn city(&self) -> &str {
        &self.city
    }

    /// Starts it again, after it was killed.
    pub fn start_again(&self, world: &World) -> Result<()> {
        let (process, _) = launch_with(world, &self.name, &self.host, &self.arguments)?;
        self.process.replace(process);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.borrow().borrow_mut().kill();
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.borrow().borrow().log()
    }

    /// Asks it.
    pub fn client(&self) -> SiteClient {
        SiteClient::new(Client::new(Endpoint::Unix(self.socket.clone())))
    }
}
