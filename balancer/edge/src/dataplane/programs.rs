//! The programs that take over from `balance` or `decap`, and the map by which it finds them.
//!
//! The kernel empties such a map as soon as nobody outside of it holds it, so it is pinned for as long as the program that
//! reads it is attached. Each load has a map of its own: the one before belongs to the programs before.

use std::{fs, panic::resume_unwind, thread};

use aya::{
    Ebpf,
    maps::{Map, MapData, ProgramArray},
    programs::Xdp,
};

use super::{
    error::{DataplaneError, kernel},
    object::program,
    pins::PinDir,
};

/// The pin of the map that the attached program reads.
const PIN: &str = "PROGRAMS";
/// The pin of the map of the program that is being attached.
const NEXT: &str = "PROGRAMS-next";
/// Pins, with a number behind, of maps of daemons that were killed while they attached: some interface may have their program.
const UNFINISHED: &str = "PROGRAMS-unfinished-";

/// The filled map, and its programs, which it keeps.
pub(super) struct Programs(Map);

impl Programs {
    /// Loads the programs with these names and puts them into their places.
    pub(super) fn load(ebpf: &mut Ebpf, names: &[&str]) -> Result<Self, DataplaneError> {
        let mut map = ebpf.take_map(PIN).expect("the object has its maps");
        let mut array: ProgramArray<&mut MapData> = (&mut map)
            .try_into()
            .map_err(kernel("use the map of programs"))?;
        load_beside_each_other(ebpf, names)?;
        for (place, name) in (0..).zip(names) {
            let fd = program(ebpf, name)?
                .fd()
                .map_err(kernel("use a program of the slow path"))?;
            array
                .set(place, fd, 0)
                .map_err(kernel("fill the map of programs"))?;
        }
        Ok(Self(map))
    }

    /// Holds the map while the program that reads it is being attached beside the one before.
    pub(super) fn hold(&self, pins: &PinDir) -> Result<(), DataplaneError> {
        let next = pins.path(NEXT);
        if next.exists() {
            let aside = (0..)
                .map(|number| pins.path(&format!("{UNFINISHED}{number}")))
                .find(|aside| !aside.exists())
                .expect("a number is free");
            fs::rename(next, &aside).map_err(|source| DataplaneError::Pin {
                path: aside,
                source,
            })?;
        }
        self.0
            .pin(pins.path(NEXT))
            .map_err(kernel("pin the map of programs"))
    }

    /// Lets go of the maps before: no interface has their readers any more.
    pub(super) fn take_over(&self, pins: &PinDir) -> Result<(), DataplaneError> {
        let path = pins.path(PIN);
        fs::rename(pins.path(NEXT), &path)
            .map_err(|source| DataplaneError::Pin { path, source })?;
        for pin in pins.files()? {
            if pin.starts_with(UNFINISHED) {
                pins.remove(pin)?;
            }
        }
        Ok(())
    }
}

/// Loads programs on a thread each: most of a daemon's start is the kernel's verifier, which takes one processor for each.
fn load_beside_each_other(ebpf: &mut Ebpf, names: &[&str]) -> Result<(), DataplaneError> {
    for name in names {
        program(ebpf, name)?;
    }
    let loaded = thread::scope(|scope| {
        let programs = ebpf.programs_mut();
        let wanted = programs.filter(|(name, _)| names.contains(name));
        let loading: Vec<_> = wanted
            .map(|(_, program)| scope.spawn(|| <&mut Xdp>::try_from(program).and_then(Xdp::load)))
            .collect();
        let joined = loading.into_iter().map(|thread| match thread.join() {
            Ok(loaded) => loaded,
            Err(panic) => resume_unwind(panic),
        });
        joined.collect::<Result<(), _>>()
    });
    loaded.map_err(kernel("load a program of the slow path"))
}
