//! Frames that something went wrong with, drawn from a seed.

/// Values that lengths and offsets go wrong at.
const EDGES: [u16; 14] = [
    0, 1, 4, 7, 8, 19, 20, 27, 39, 40, 0x7fff, 0x8000, 0xfffe, 0xffff,
];

/// The kernel takes no frame shorter than this.
const SHORTEST: usize = 14;

/// The part of a frame that the programs read.
const HEADERS: usize = 134;

/// The longest frame without any plan.
const LONGEST_RANDOM: usize = 256;

/// `count` frames, most of them one of `sound` with one to three things wrong; some as they are, cut off, or random.
pub(crate) fn mutated(seed: u64, count: usize, sound: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let mut frame = random.choice(sound).expect("there are some").clone();
            match random.u8(0..32) {
                0 => {}
                1 => frame.truncate(random.usize(SHORTEST..=frame.len())),
                2 => frame = chance(&mut random),
                _ => {
                    for _ in 0..random.usize(1..=3) {
                        mutate(&mut random, &mut frame);
                    }
                }
            }
            frame
        })
        .collect()
}

/// Where the first buffer of a frame ends: of one in sixteen somewhere within it, which the frame's own bytes decide.
pub(crate) fn first_buffer(frame: &[u8]) -> usize {
    let mut drawn = 0_u64;
    let (words, rest) = frame.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    for word in words.chain(rest.iter().map(|byte| u64::from(*byte))) {
        drawn = (drawn ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
    if !drawn.is_multiple_of(16) {
        return frame.len();
    }
    // Most of them among the headers.
    let most = match drawn >> 8 & 3 {
        0 => frame.len(),
        _ => frame.len().min(HEADERS),
    };
    SHORTEST + (drawn >> 16) as usize % (most - SHORTEST + 1)
}

/// Random bytes, behind an Ethernet type that means something to the programs, or any.
fn chance(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = random.usize(SHORTEST..LONGEST_RANDOM);
    let mut frame: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
    let ether_types = [0x0800_u16, 0x86dd, 0x8100, 0x88a8, random.u16(..)];
    let ether_type = random.choice(ether_types).expect("there are some");
    frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
    frame
}

fn mutate(random: &mut fastrand::Rng, frame: &mut Vec<u8>) {
    let headers = frame.len().min(HEADERS);
    let at = random.usize(0..headers);
    match random.u8(0..8) {
        0 => frame[at] ^= 1 << random.u8(0..8),
        1 => frame[at] = random.u8(..),
        2 | 3 => {
            let at = at & !1;
            let near = (frame.len() as u16).saturating_sub(random.u16(0..60));
            let value = match random.bool() {
                true => *random.choice(&EDGES).expect("there are some"),
                false => near,
            };
            if let Some(word) = frame.get_mut(at..at + 2) {
                word.copy_from_slice(&value.to_be_bytes());
            }
        }
        4 => frame.truncate(random.usize(SHORTEST..=frame.len())),
        5 => {
            let more = random.usize(0..64);
            frame.extend((0..more).map(|_| random.u8(..)));
        }
        // Version and header length, where a wrong one matters most.
        6 if frame.len() > 14 => frame[14] = random.u8(..),
        // Another flow.
        _ if frame.len() > 36 => frame[34..36].fill_with(|| random.u8(..)),
        _ => {}
    }
}
