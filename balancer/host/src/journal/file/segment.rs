//! The content of a segment file: a header line, then a line for each entry.
//!
//! The header is `balancer-journal VERSION FIRST CRC`: the schema version, and the number of the first entry. It stays
//! so in every version, so that an older program can tell a newer file from a damaged one. A line is
//! `NUMBER LAST LENGTH CRC JSON`: the entry's number, the number of the last entry of the same append, and the
//! length of the JSON in bytes. The CRC-32, in eight hexadecimal digits, covers the line without itself and the spaces
//! around it. An append counts when the line of its last entry is there, so that a crash leaves all of it or none.

use std::ops::Range;

use crc32fast::Hasher;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::journal::Entry;

/// The schema version that this program writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

const MAGIC: &str = "balancer-journal";

/// An entry's JSON; its number stands before it.
#[derive(Serialize)]
struct BodyRef<'a, C> {
    unix_ms: u64,
    change: &'a C,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<C> {
    unix_ms: u64,
    change: C,
}

/// What a segment holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment<C> {
    /// The entries of all whole appends.
    pub(super) entries: Vec<Entry<C>>,
    /// Where the last whole append ends. What is behind it was never acknowledged: a crash cut it off.
    pub(super) whole_bytes: usize,
    /// How many lines were there twice, the same both times.
    pub(super) doubled: usize,
}

/// Why a content is no segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not what was written.
    Damaged {
        /// Counted from one.
        line: usize,
        /// What is wrong with it.
        why: String,
        /// The first entry that cannot be read.
        entry: u64,
    },
    /// It is whole, and of a newer schema version.
    Newer(u32),
}

/// The header of a segment.
pub(super) fn header(first: u64) -> String {
    sealed_header(VERSION, first)
}

fn sealed_header(version: u32, first: u64) -> String {
    let start = format!("{MAGIC} {version} {first}");
    format!("{start} {:08x}\n", crc(&[start.as_bytes()]))
}

/// The lines of one append.
pub(super) fn encode<C: Serialize>(entries: &[Entry<C>]) -> Vec<u8> {
    let mut lines = Vec::new();
    let last = entries.last().map_or(0, |entry| entry.number);
    for entry in entries {
        let body = BodyRef {
            unix_ms: entry.unix_ms,
            change: &entry.change,
        };
        let json =
            serde_json::to_vec(&body).expect("a change has string keys and no foreign types");
        lines.extend(prefix(entry.number, last, &json).into_bytes());
        lines.extend(json);
        lines.push(b'\n');
    }
    lines
}

/// What stands before an entry's JSON.
fn prefix(number: u64, last: u64, json: &[u8]) -> String {
    let start = format!("{number} {last} {}", json.len());
    format!("{start} {:08x} ", crc(&[start.as_bytes(), json]))
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Reads a segment that begins with entry `first`.
pub(super) fn read<C: DeserializeOwned>(
    content: &[u8],
    first: u64,
) -> Result<Segment<C>, Unreadable> {
    // Some file systems make a file longer before they write its content: after a power failure it ends in zeros.
    let written = content.len() - content.iter().rev().take_while(|&&byte| byte == 0).count();
    let content = &content[..written];
    let mut reader = Reader {
        content,
        first,
        line: 1,
        lines: Vec::new(),
        pending: Vec::new(),
        pending_last: 0,
        segment: Segment {
            entries: Vec::new(),
            whole_bytes: 0,
            doubled: 0,
        },
    };
    let mut at = reader.header()?;
    while at < content.len() {
        reader.line += 1;
        let Some(end) = content[at..].iter().position(|&byte| byte == b'\n') else {
            if is_cut_off(&content[at..]) {
                break;
            }
            return Err(reader.damaged("it is changed since it was written"));
        };
        reader.entry(at..at + end)?;
        at += end + 1;
    }
    Ok(reader.segment)
}

struct Reader<'a, C> {
    content: &'a [u8],
    first: u64,
    /// The line that is read, counted from one.
    line: usize,
    /// The place of each entry's line.
    lines: Vec<Range<usize>>,
    /// The entries of an append whose end was not seen yet.
    pending: Vec<Entry<C>>,
    /// The number of that append's last entry.
    pending_last: u64,
    segment: Segment<C>,
}

impl<C: DeserializeOwned> Reader<'_, C> {
    /// Where the entries begin.
    fn header(&mut self) -> Result<usize, Unreadable> {
        let end = self.content.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| self.damaged("it is cut off"))? + 1;
        let line = std::str::from_utf8(&self.content[..end]).unwrap_or_default();
        let mut words = line.split(' ').skip(1);
        let version = words.next().and_then(|word| word.parse().ok());
        let first = words.next().and_then(|word| word.parse().ok());
        let (Some(version), Some(first)) = (version, first) else {
            return Err(self.damaged("it is changed since it was written"));
        };
        if line != sealed_header(version, first) {
            return Err(self.damaged("it is changed since it was written"));
        }
        if version > VERSION {
            return Err(Unreadable::Newer(version));
        }
        if first != self.first {
            let expected = self.first;
            return Err(self.damaged(&format!(
                "the file begins with entry {first}, and its name says {expected}"
            )));
        }
        self.segment.whole_bytes = end;
        Ok(end)
    }

    fn entry(&mut self, place: Range<usize>) -> Result<(), Unreadable> {
        let line = &self.content[place.clone()];
        let (number, last, json) =
            vouched(line).ok_or_else(|| self.damaged("it is changed since it was written"))?;
        let next = self.next();
        if number < next {
            return self.doubled(number, place);
        }
        if number > next {
            return Err(self.damaged(&format!(
                "it has entry {number} where entry {next} is expected: lines are missing, or not in their order"
            )));
        }
        if self.pending.is_empty() {
            self.pending_last = last;
        }
        if last != self.pending_last || last < number {
            let why = format!(
                "entries of the append before it are missing, up to {}",
                self.pending_last
            );
            return Err(self.damaged(&why));
        }
        let body: Body<C> = serde_json::from_slice(json).map_err(|error| {
            self.damaged(&format!(
                "it is as it was written, and no change that this lbd knows ({error})"
            ))
        })?;
        self.lines.push(place.clone());
        self.pending.push(Entry {
            number,
            unix_ms: body.unix_ms,
            change: body.change,
        });
        if number == last {
            self.segment.entries.append(&mut self.pending);
            self.segment.whole_bytes = place.end + 1;
        }
        Ok(())
    }

    /// An entry that was there before: the same is ignored.
    fn doubled(&mut self, number: u64, place: Range<usize>) -> Result<(), Unreadable> {
        let Some(before) = number.checked_sub(self.first) else {
            let first = self.first;
            return Err(self.damaged(&format!(
                "it has entry {number}, and the file begins with entry {first}"
            )));
        };
        let before = self.lines[before as usize].clone();
        if self.content[before] != self.content[place.clone()] {
            return Err(self.damaged(&format!(
                "it has entry {number} once more, and says something else of it"
            )));
        }
        self.segment.doubled += 1;
        if self.pending.is_empty() {
            self.segment.whole_bytes = place.end + 1;
        }
        Ok(())
    }

    /// The number that the next entry must have.
    fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn damaged(&self, why: &str) -> Unreadable {
        Unreadable::Damaged {
            line: self.line,
            why: why.to_owned(),
            entry: self.next(),
        }
    }
}

/// Number, last number and JSON of a line without its end, if it is what was written.
fn vouched(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut words = line.splitn(5, |&byte| byte == b' ');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse::<u64>().ok();
    let (number, last, _length) = (number()?, number()?, number()?);
    let (_crc, json) = (words.next()?, words.next()?);
    let (before, _) = line.split_at(line.len() - json.len());
    // One comparison vouches for all of it.
    (before == prefix(number, last, json).as_bytes()).then_some((number, last, json))
}

/// Whether this can be the beginning of a line whose rest was never written. The end of the line alone must be missing
/// at least: a whole line whose end was changed into something else is no such beginning.
fn is_cut_off(line: &[u8]) -> bool {
    let words: Vec<&[u8]> = line.splitn(5, |&byte| byte == b' ').collect();
    let digits = |word: &[u8]| word.iter().all(u8::is_ascii_digit);
    let numbers = words.iter().take(3).all(|word| digits(word));
    let crc = words.get(3).is_none_or(|word| {
        word.len() <= 8
            && word
                .iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let json = words.get(4).is_none_or(|json| {
        let length = std::str::from_utf8(words[2])
            .ok()
            .and_then(|word| word.parse().ok());
        words[3].len() == 8 && length.is_some_and(|length: usize| json.len() <= length)
    });
    numbers && crc && json
}

#[cfg(test)]
mod tests;
