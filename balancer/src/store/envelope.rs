//! The state file's content: a line that vouches for the rest, and the state as JSON.
//!
//! The line is `balancer-state VERSION LENGTH CRC`: the schema version and the length of the JSON in bytes, decimal,
//! and the CRC-32 of the line up to here and the JSON, in eight hexadecimal digits. It stays so in
//! every version, so that an older program can tell a newer file from a damaged one.

use crc32fast::Hasher;

use super::Stored;

/// The schema version that this program writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: &str = "balancer-state";

/// Why a file's content is no state.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not what was written.
    Damaged(String),
    /// It is whole, and of a newer schema version.
    Newer(u32),
}

/// A state as a file's content.
pub(super) fn seal(state: &impl Stored) -> Vec<u8> {
    let json = serde_json::to_vec(state).expect("a state has string keys and no foreign types");
    seal_json(VERSION, &json)
}

pub(super) fn seal_json(version: u32, json: &[u8]) -> Vec<u8> {
    let mut content = header(version, json).into_bytes();
    content.extend_from_slice(json);
    content
}

/// The state in a file's content.
pub(super) fn open<S: Stored>(content: &[u8]) -> Result<S, Unreadable> {
    let damaged = |why: &str| Unreadable::Damaged(why.to_owned());
    let end = content.iter().position(|&byte| byte == b'\n');
    let (line, json) =
        content.split_at(end.ok_or_else(|| damaged("cut off in its first line"))? + 1);
    let version = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| damaged("without a version in its first line"))?;
    // One comparison vouches for magic, version, length and JSON.
    if line != header(version, json).as_bytes() {
        return Err(damaged("cut off or changed since it was written"));
    }
    if version > VERSION {
        return Err(Unreadable::Newer(version));
    }
    serde_json::from_slice(json)
        .map_err(|error| Unreadable::Damaged(format!("no state of version {version}: {error}")))
}

fn header(version: u32, json: &[u8]) -> String {
    let start = format!("{MAGIC} {version} {}", json.len());
    let mut hasher = Hasher::new();
    hasher.update(start.as_bytes());
    hasher.update(json);
    format!("{start} {:08x}\n", hasher.finalize())
}
