//! How a packet leaves for another backend where that is not as usual, and from where none does.

use anyhow::Result;
use balancer_common::Reason;

use crate::agent::{Decap, Site};
use crate::counts::Counts;
use crate::decap::opened;
use crate::frame::{put, summed};
use crate::oracle;
use crate::outer::{Outer, inner4, inner6};
use crate::row::{Bench, Out, Row, check};
use crate::run::{self, Arrival, Ran, Verdict};
use crate::second_chance::{BOTH, from, goes_on, handed_on, own, with};

/// The program `decap` behind another one that has left so many bytes of metadata in front of each frame.
struct Behind(Decap, usize);

impl Bench for Behind {
    fn run(&self, frames: &[Vec<u8>]) -> Result<Vec<Ran>> {
        let Behind(Decap(site), metadata) = self;
        let arrival = Arrival {
            metadata: *metadata,
            ..Arrival::default()
        };
        run::xdp(&site.instance, &site.pin("decap"), arrival, frames)
    }

    fn counts(&self) -> Result<Counts> {
        self.0.counts()
    }

    /// The same as of what is marked, but that it goes back.
    fn judge(&self, frame: &[u8], ran: &Ran) -> Result<(), String> {
        match ran.verdict {
            Verdict::Transmit => oracle::judge_opened(
                frame,
                &Ran {
                    verdict: Verdict::Mark,
                    frame: swap_macs(&ran.frame),
                },
            ),
            _ => oracle::judge_opened(frame, ran),
        }
    }
}

/// The frame with its MAC addresses exchanged.
fn swap_macs(frame: &[u8]) -> Vec<u8> {
    [&frame[6..12], &frame[..6], &frame[12..]].concat()
}

/// Rows of packets that go on, and one that goes home.
fn rows(outer: Outer) -> Vec<Row> {
    let mut rows = vec![handed_on(outer, &inner4()), handed_on(outer, &inner6())];
    let later = from(
        outer,
        20,
        with(outer, &inner4(), [1, 3, 1, 0], &[20, 22, 23]),
    );
    let after: (_, &[u8]) = ([1, 3, 2, 0], &[20, own(outer), 23]);
    let name = format!("later in {outer:?}");
    rows.push(goes_on(name, Reason::HandedOn, outer, later, 22, after));
    let home = from(outer, 22, with(outer, &inner6(), [1, 2, 2, 0], &[20, 21]));
    let after: (_, &[u8]) = ([1, 2, 2, 1], &[20, 21]);
    let name = format!("home in {outer:?}");
    rows.push(goes_on(name, Reason::ReturnedHome, outer, home, 20, after));
    rows
}

/// Whoever sent it here knows the way. Of the room in front of a frame metadata may take 216 bytes, with older kernels 32.
// Promise: M3
#[test]
fn without_room_for_a_mark_what_goes_on_goes_back_to_its_senders_mac() -> Result<()> {
    let mut bench = Behind(Decap(Site::new()?), 28);
    let rows: Vec<Row> = BOTH.into_iter().flat_map(rows).collect();
    check(&bench, &rows)?;
    bench.1 = 216;
    if bench.run(&[inner4()]).is_err() {
        bench.1 = 32;
    }
    let back = |row: Row| {
        let Out::Exactly(out) = row.out else {
            unreachable!("rows of what goes on say which bytes");
        };
        Row {
            verdict: Verdict::Transmit,
            out: Out::Exactly(swap_macs(&out)),
            ..row
        }
    };
    let rows: Vec<Row> = rows.into_iter().map(back).collect();
    check(&bench, &rows)
}

/// The frame with so many words of options in its outer IPv4 header.
fn optioned(mut frame: Vec<u8>, words: u8) -> Vec<u8> {
    frame.splice(34..34, vec![1; usize::from(words) * 4]);
    let length = (frame.len() - 14) as u16;
    let frame = put(frame, 14, &[0x45 + words]);
    summed(put(frame, 16, &length.to_be_bytes()))
}

/// No edge sends them: there are no alternates of ours.
// Promise: M4
#[test]
fn behind_options_there_are_no_alternates() -> Result<()> {
    let outer = Outer::GueIpv4;
    let mut rows = Vec::new();
    for words in [1, 2, 5, 10] {
        for inner in [inner4(), inner6()] {
            let optioned = |frame| optioned(frame, words);
            for (what, source, head, alternates) in [
                ("one", 2, [1, 1, 0, 0], &[21][..]),
                ("three", 2, [1, 3, 0, 0], &[21, 22, 23]),
                ("what lies", 2, [1, 4, 0, 0], &[21]),
                ("what was handed on", 20, [1, 2, 1, 0], &[20, 22]),
            ] {
                let frame = from(outer, source, with(outer, &inner, head, alternates));
                let name = format!("{what} behind {words} words");
                rows.push(Row::met(Reason::BadAlternates, &name, optioned(frame)));
            }
            let other = with(outer, &inner, [2, 1, 0, 0], &[21]);
            let name = format!("another form behind {words} words");
            rows.push(opened(name, optioned(other.clone()), inner.clone()));
            let none = outer.around(&inner);
            let name = format!("none behind {words} words");
            rows.push(opened(name, optioned(none.clone()), inner));
            for (what, frame) in [("another form", other), ("none", none)] {
                let frame = optioned(from(outer, 20, frame));
                let name = format!("{what} from a peer behind {words} words");
                rows.push(Row::met(Reason::SourceNotAllowed, &name, frame));
            }
        }
    }
    check(&Decap(Site::new()?), &rows)
}
