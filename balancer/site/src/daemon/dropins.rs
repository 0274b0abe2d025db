//! The files that tell the host's agent of instances.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// The first line of files of ours: others in the directory are left alone.
const OURS: &str = "# by lbd site";

/// The directory that the agent reads.
pub(super) struct DropIns {
    directory: PathBuf,
    /// What each file of ours says, by the instance's name.
    written: BTreeMap<String, String>,
}

impl DropIns {
    /// Opens the directory, makes it if it is missing, and finds what an earlier daemon wrote.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut written = BTreeMap::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str());
            if let (Some(name), Ok(text)) = (name, fs::read_to_string(&path))
                && text.starts_with(OURS)
            {
                written.insert(name.to_owned(), text);
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            written,
        })
    }

    /// Has the agent attend an instance; nothing is written when the file says so already.
    pub(super) fn put(&mut self, name: &str, netns: &Path, vips: &[IpAddr]) -> io::Result<()> {
        let vips: Vec<String> = vips.iter().map(IpAddr::to_string).collect();
        let text = format!(
            "{OURS}\nversion = 1\nname = {name:?}\nnetns = {:?}\ninterface = \"eth0\"\nvips = {vips:?}\n",
            netns.display().to_string()
        );
        if self.written.get(name) == Some(&text) {
            return Ok(());
        }
        // Hidden files are left alone by the agent.
        let new = self.directory.join(format!(".{name}.toml"));
        fs::write(&new, &text)?;
        fs::rename(&new, self.path(name))?;
        self.written.insert(name.to_owned(), text);
        Ok(())
    }

    /// Has the agent leave an instance.
    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        if self.written.contains_key(name) {
            match fs::remove_file(self.path(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.written.remove(name);
        }
        Ok(())
    }

    /// Has the agent leave everybody but these.
    pub(super) fn retain(&mut self, names: &BTreeSet<&str>) -> io::Result<()> {
        let gone: Vec<String> = self
            .written
            .keys()
            .filter(|name| !names.contains(name.as_str()))
            .cloned()
            .collect();
        gone.iter().try_for_each(|name| self.remove(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.toml"))
    }
}

#[cfg(test)]
mod tests {
    use balancer_config::Instance;

    use super::*;

    #[test]
    fn a_file_is_what_the_agent_reads_and_goes_with_its_instance() {
        let directory = tempfile::tempdir().unwrap();
        let mut dropins = DropIns::open(directory.path()).unwrap();
        let vips = [
            "198.51.100.1".parse().unwrap(),
            "2001:db8::1".parse().unwrap(),
        ];
        dropins
            .put("web-0", Path::new("/proc/7/ns/net"), &vips)
            .unwrap();
        let path = directory.path().join("web-0.toml");
        let text = fs::read_to_string(&path).unwrap();
        let read = Instance::parse(&text, "web-0.toml").unwrap();
        assert_eq!((read.name.as_str(), &read.vips[..]), ("web-0", &vips[..]));
        // A daemon that starts finds it, and leaves what is not its own.
        let own = directory.path().join("by-hand.toml");
        fs::write(&own, "name = \"x\"\n").unwrap();
        let mut found = DropIns::open(directory.path()).unwrap();
        found.retain(&BTreeSet::new()).unwrap();
        assert!(!path.exists() && own.exists());
    }
}
