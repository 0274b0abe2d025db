//! A sealed file's content: a line that vouches for the rest, and the rest as JSON.
//!
//! The line is `MAGIC VERSION LENGTH CRC`: the schema version and the length of the JSON in bytes, decimal,
//! and the CRC-32 of the line up to here and the JSON, in eight hexadecimal digits. It stays so in
//! every version, so that an older program can tell a newer file from a damaged one.

use crc32fast::Hasher;

/// JSON as a file's content.
pub(crate) fn seal(magic: &str, version: u32, json: &[u8]) -> Vec<u8> {
    let mut content = header(magic, version, json).into_bytes();
    content.extend_from_slice(json);
    content
}

/// The schema version and the JSON in a file's content, or in which way the content is not what was written.
pub(super) fn open<'a>(magic: &str, content: &'a [u8]) -> Result<(u32, &'a [u8]), String> {
    let end = content.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or("cut off in its first line")?;
    let (line, json) = content.split_at(end + 1);
    let version = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or("without a version in its first line")?;
    // One comparison vouches for magic, version, length and JSON.
    if line != header(magic, version, json).as_bytes() {
        return Err("cut off or changed since it was written".to_owned());
    }
    Ok((version, json))
}

fn header(magic: &str, version: u32, json: &[u8]) -> String {
    let start = format!("{magic} {version} {}", json.len());
    let mut hasher = Hasher::new();
    hasher.update(start.as_bytes());
    hasher.update(json);
    format!("{start} {:08x}\n", hasher.finalize())
}
