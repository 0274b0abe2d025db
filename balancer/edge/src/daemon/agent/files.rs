//! The instances that files in `instance_dir` declare, beside those of the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use tracing::warn;

use balancer_config::Instance;

/// The files in `instance_dir`, read again and again.
pub(super) struct InstanceFiles {
    directory: Option<PathBuf>,
    /// What each file said when it was last whole.
    files: BTreeMap<PathBuf, Instance>,
    /// What was last complained of each file, so that it is said once.
    complaints: BTreeMap<PathBuf, String>,
}

impl InstanceFiles {
    /// Without a directory no file declares anything.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            directory,
            files: BTreeMap::new(),
            complaints: BTreeMap::new(),
        }
    }

    /// Whether whatever is not declared is to go: not while a file is broken, for nobody knows what it declares.
    pub(super) fn are_all(&self) -> bool {
        self.directory.is_some() && self.complaints.is_empty()
    }

    /// Every instance that is declared now: those of the configuration come first, then those of the files in the order of
    /// their names.
    pub(super) fn declared(&mut self, of_config: &[Instance]) -> BTreeMap<String, Instance> {
        if let Some(directory) = self.directory.clone() {
            self.read(&directory);
        }
        let mut declared: BTreeMap<String, Instance> = BTreeMap::new();
        let own = of_config.iter().cloned();
        declared.extend(own.map(|instance| (instance.name.clone(), instance)));
        let mut clashes = Vec::new();
        for (path, instance) in &self.files {
            let place = (&instance.netns, &instance.interface);
            let taken = declared.values().find(|other| {
                other.name == instance.name || (&other.netns, &other.interface) == place
            });
            match taken {
                Some(other) => clashes.push((
                    path.clone(),
                    format!(
                        "{}: instance {:?} has the name, or the namespace and interface, of another one, {:?}: \
                         give each its own",
                        path.display(),
                        instance.name,
                        other.name
                    ),
                )),
                None => {
                    declared.insert(instance.name.clone(), instance.clone());
                }
            }
        }
        for (path, complaint) in clashes {
            self.complain(path, complaint);
        }
        declared
    }

    /// Reads the files; one that is broken keeps what it last said.
    fn read(&mut self, directory: &Path) {
        let paths = match list(directory) {
            Ok(paths) => paths,
            Err(error) => {
                let complaint = format!("cannot read {}: {error}", directory.display());
                return self.complain(directory.to_owned(), complaint);
            }
        };
        self.complaints.remove(directory);
        self.files.retain(|path, _| paths.contains(path));
        self.complaints.retain(|path, _| paths.contains(path));
        for path in paths {
            let shown = path.display().to_string();
            let read = fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {shown}: {error}"))
                .and_then(|text| Instance::parse(&text, &shown).map_err(|error| error.to_string()));
            match read {
                Ok(instance) => {
                    // A clash is found anew, and told anew only when the file was changed.
                    if self.files.get(&path) != Some(&instance) {
                        self.complaints.remove(&path);
                        self.files.insert(path, instance);
                    }
                }
                Err(complaint) => self.complain(path, complaint),
            }
        }
    }

    fn complain(&mut self, about: PathBuf, complaint: String) {
        if self.complaints.get(&about) != Some(&complaint) {
            warn!("{complaint}");
            self.complaints.insert(about, complaint);
        }
    }
}

/// The files `*.toml` of a directory that is there or not; hidden ones are being written.
fn list(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let mut paths = BTreeSet::new();
    for entry in entries {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden
            && path
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            paths.insert(path);
        }
    }
    Ok(paths)
}
