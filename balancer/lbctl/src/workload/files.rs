//! The workload file, the values of its variables, and the fleet file.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use balancer_config::{
    FleetConfig,
    workload::{Declarations, Input, SourceFile, automatic_files, read},
};
use clap::Args;

use crate::failure::Failure;

const FLEET: &str = "fleet.toml";
const FLEET_OF_HOST: &str = "/etc/balancer/fleet.toml";

/// Which files a command is about.
#[derive(Debug, Args)]
pub(super) struct Files {
    /// The workload file, or a directory of *.tf files
    #[arg(short, long, value_name = "FILE", default_value = "main.tf")]
    file: PathBuf,
    /// The fleet file; beside the workload file or /etc/balancer/fleet.toml if left out
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,
    /// The value of a variable; wins over files and TF_VAR_NAME
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment)]
    vars: Vec<(String, String)>,
    /// A file of values; beside terraform.tfvars and *.auto.tfvars, which are read unasked
    #[arg(long = "var-file", value_name = "FILE")]
    var_files: Vec<PathBuf>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Files {
    /// The directory of the workload file, with the state file in it.
    pub(super) fn directory(&self) -> PathBuf {
        if self.file.is_dir() {
            return self.file.clone();
        }
        match self.file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// What the workload file declares.
    pub(super) fn declarations(&self) -> Result<Declarations, Failure> {
        let directory = self.directory();
        let mut names = vec![self.file.clone()];
        if self.file.is_dir() {
            names = matching(&directory, |name| name.ends_with(".tf"))?;
            if names.is_empty() {
                return Err(Failure::Workload(format!(
                    "{}: there is no *.tf file in it",
                    directory.display()
                )));
            }
        }
        let sources = texts(&names)?;
        let beside = matching(&directory, |_| true)?;
        let beside = beside
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .collect::<Vec<_>>();
        let mut values: Vec<PathBuf> = automatic_files(beside)
            .into_iter()
            .map(|name| directory.join(name))
            .collect();
        values.extend(self.var_files.iter().cloned());
        let values = texts(&values)?;
        // Others may be no text at all.
        let environment: Vec<(String, String)> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter_map(|(name, value)| Some((name.strip_prefix("TF_VAR_")?.to_owned(), value)))
            .collect();
        // Terraform's precedence, weakest first.
        let of_environment = environment
            .iter()
            .map(|(name, value)| Input::Environment { name, value });
        let of_files = values
            .iter()
            .map(|(name, text)| Input::Tfvars(SourceFile { name, text }));
        let of_flags = self
            .vars
            .iter()
            .map(|(name, value)| Input::Flag { name, value });
        let inputs: Vec<Input<'_>> = of_environment.chain(of_files).chain(of_flags).collect();
        let sources: Vec<SourceFile<'_>> = sources
            .iter()
            .map(|(name, text)| SourceFile { name, text })
            .collect();
        read(&sources, &inputs).map_err(|errors| Failure::Workload(errors.to_string()))
    }

    /// The sites.
    pub(super) fn fleet(&self) -> Result<FleetConfig, Failure> {
        let beside = self.directory().join(FLEET);
        let path = match &self.fleet {
            Some(path) => path.clone(),
            None if beside.exists() => beside,
            None => FLEET_OF_HOST.into(),
        };
        let text = text(&path)?;
        Ok(FleetConfig::parse(&text, &path.display().to_string())?)
    }

    /// The Dockerfile's directory, if there is one beside the workload file.
    pub(super) fn image_context(&self) -> Option<PathBuf> {
        let directory = self.directory();
        directory.join("Dockerfile").is_file().then_some(directory)
    }
}

fn matching(directory: &Path, is: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |source| Failure::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_file() && name.is_some_and(&is) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn texts(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let named = |path: &PathBuf| Ok((path.display().to_string(), text(path)?));
    paths.iter().map(named).collect()
}

fn text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| Failure::Unreadable {
        path: path.to_owned(),
        source,
    })
}
