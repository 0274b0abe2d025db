//! Taking over the state file of a version before the journal, and keeping such a version from misreading the directory.
//!
//! A directory with a journal has a `state` of version 2, a marker without a state, which an older program refuses by
//! its version. It is written once the first checkpoint is durable, and the state of the version before is set aside.

use serde::de::DeserializeOwned;

use crate::{
    journal::JournalError,
    state_dir::{Found, SealedFile, StateDir, StateDirError},
};

const STATE: &str = "state";
const PREVIOUS: &str = "state.previous";

/// The state file of the versions before.
const OLD: SealedFile = SealedFile::state(STATE);
/// The same file as a marker.
const MARKER: SealedFile = SealedFile::marker(STATE, MARKER_VERSION);
const MARKER_VERSION: u32 = 2;

/// The state that a version before left, if it did, and what was wrong with it.
///
/// # Errors
///
/// When the state is damaged, when there is a marker and so once was a journal, and when the file system refuses.
pub(super) fn read<O: DeserializeOwned>(
    dir: &StateDir,
) -> Result<(Option<O>, Option<String>), JournalError> {
    if OLD.version_found(dir)? == Some(MARKER_VERSION) {
        return Err(JournalError::Damaged(format!(
            "`checkpoint` and `checkpoint.previous` are missing in {}, and its `state` says that they were there: put \
             back a copy, or move all files but `lock` away to start from the configuration alone (connections will \
             move)",
            dir.path().display()
        )));
    }
    let path = dir.path().display();
    Ok(
        match OLD.read(dir, |json| serde_json::from_slice::<O>(json))? {
            Found::Nothing => (None, None),
            Found::Current(state) => (Some(state), None),
            Found::Previous {
                value,
                damage: None,
            } => {
                let warning = format!("no `{STATE}` in {path}: took `{PREVIOUS}`");
                (Some(value), Some(warning))
            }
            Found::Previous {
                value,
                damage: Some(why),
            } => {
                let warning = format!(
                    "`{STATE}` in {path} is damaged ({why}) and now called `{STATE}.damaged`: took `{PREVIOUS}`; the last \
                 change before the restart may be missing, so look at `lbctl services list`"
                );
                (Some(value), Some(warning))
            }
        },
    )
}

/// Sets aside what a version before left, now that a checkpoint is durable, and writes the marker. Finishes also what
/// a crash left half done. Says what an older program wrote since then: its state is not taken.
///
/// # Errors
///
/// When a newer version wrote the marker, and when the file system refuses.
pub(super) fn set_aside(dir: &StateDir) -> Result<Vec<String>, StateDirError> {
    let version = OLD.version_found(dir)?;
    if let Some(version) = version.filter(|&version| version > MARKER_VERSION) {
        return Err(StateDirError::Newer {
            path: dir.join(STATE),
            version,
            known: MARKER_VERSION,
        });
    }
    let names = dir.names()?;
    let mut old = vec![PREVIOUS];
    if version != Some(MARKER_VERSION) {
        old.push(STATE);
    }
    let mut warnings = Vec::new();
    for name in old {
        if !names.iter().any(|found| found == name) {
            continue;
        }
        let first = format!("{name}.before-journal");
        let aside = free(&names, &first);
        dir.rename(name, &aside)?;
        if aside != first {
            warnings.push(format!(
                "an older lbd wrote `{name}` in {} beside the journal: it is now `{aside}`, and nothing of it was taken",
                dir.path().display()
            ));
        }
    }
    if version != Some(MARKER_VERSION) {
        MARKER.save(dir, br#"{"kept_in":"journal"}"#)?;
    }
    Ok(warnings)
}

/// The name, or with a number behind it the first that no file has.
fn free(names: &[String], name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}.{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !names.contains(name))
        .expect("there are more numbers than files")
}
