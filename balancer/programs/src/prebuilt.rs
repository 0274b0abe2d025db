//! Objects that were built before, on another machine perhaps.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

/// Names the directory of prebuilt objects.
const VARIABLE: &str = "BALANCER_BPF_OBJECTS";

/// What an ELF file begins with.
const ELF: &[u8] = b"\x7fELF";

/// `e_machine` of a BPF object, at this place of the ELF header.
const MACHINE_AT: usize = 18;
const EM_BPF: u16 = 247;

/// The directory of prebuilt objects, if the environment names one.
pub fn prebuilt() -> Option<PathBuf> {
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let directory = env::var_os(VARIABLE).filter(|value| !value.is_empty())?;
    Some(directory.into())
}

/// Copies the objects of these names from `directory` to `out_dir`.
///
/// # Errors
///
/// Names every object that is missing or is no BPF object, and refuses a relative path. Nothing is copied then.
pub fn copy_prebuilt(directory: &Path, names: &[&str], out_dir: &Path) -> Result<()> {
    ensure!(
        directory.is_absolute(),
        "{VARIABLE} is {}: make it an absolute path, because cargo runs build scripts in the directories of their packages",
        directory.display()
    );
    let mut objects = Vec::new();
    let mut wrong = Vec::new();
    for name in names {
        let path = directory.join(name);
        println!("cargo:rerun-if-changed={}", path.display());
        match fs::read(&path) {
            Ok(object) if is_bpf(&object) => objects.push((name, object)),
            Ok(_) => wrong.push(format!("{} is no BPF object", path.display())),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    ensure!(
        wrong.is_empty(),
        "{VARIABLE} names {}, which must hold the objects {} of this version's kernel programs, but {}; docs/install.md says \
         where a build leaves them",
        directory.display(),
        names.join(" and "),
        wrong.join(", ")
    );
    for (name, object) in objects {
        let path = out_dir.join(name);
        fs::write(&path, object).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whether the file is an ELF object for the BPF machine, of either byte order.
fn is_bpf(object: &[u8]) -> bool {
    let machine = object
        .get(MACHINE_AT..MACHINE_AT + 2)
        .map(|bytes| [bytes[0], bytes[1]]);
    let is_machine =
        |bytes| u16::from_le_bytes(bytes) == EM_BPF || u16::from_be_bytes(bytes) == EM_BPF;
    object.starts_with(ELF) && machine.is_some_and(is_machine)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// The smallest file that passes for an object.
    fn object() -> Vec<u8> {
        let mut object = vec![0; 64];
        object[..ELF.len()].copy_from_slice(ELF);
        object[MACHINE_AT..MACHINE_AT + 2].copy_from_slice(&EM_BPF.to_le_bytes());
        object
    }

    #[test]
    fn objects_that_are_there_are_copied() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        for name in ["edge", "agent", "other"] {
            fs::write(from.path().join(name), object()).unwrap();
        }
        copy_prebuilt(from.path(), &["edge", "agent"], to.path()).unwrap();
        assert_eq!(fs::read(to.path().join("agent")).unwrap(), object());
        assert!(!to.path().join("other").exists());
    }

    #[test]
    fn every_object_that_is_missing_or_none_is_named() {
        let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::write(from.path().join("edge"), "\x7fELF and no more").unwrap();
        let error = copy_prebuilt(from.path(), &["edge", "agent"], to.path()).unwrap_err();
        let words = error.to_string();
        assert!(words.starts_with("BALANCER_BPF_OBJECTS names /"), "{words}");
        assert!(words.contains("/edge is no BPF object"), "{words}");
        assert!(words.contains("/agent: No such file"), "{words}");
        fs::write(from.path().join("edge"), object()).unwrap();
        copy_prebuilt(from.path(), &["edge", "agent"], to.path()).unwrap_err();
        copy_prebuilt(Path::new("objects"), &["edge"], to.path()).unwrap_err();
        assert!(!to.path().join("edge").exists());
    }
}
