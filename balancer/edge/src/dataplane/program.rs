//! The edge's program on each of its interfaces, through a pinned link of its own.

use std::collections::{BTreeMap, BTreeSet};

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use balancer_common::abi;

use super::{
    attachment::{self, Attached, Place},
    error::{DataplaneError, kernel},
    former::{self, Former},
    interface::{Interface, link, links},
    object::{map, program},
    pins::PinDir,
    programs::Programs,
};

/// The program's pin, for `bpftool` and for tests that run it on frames of their own.
const PROGRAM: &str = "balance";

/// The programs, loaded, and where they are attached.
pub struct EdgeProgram {
    ebpf: Ebpf,
    /// What takes over from `balance`.
    programs: Programs,
    members: HashMap<MapData, u32, u32>,
    pins: PinDir,
    /// What packets meet until the program is attached in the place of one of the version before.
    former: Option<Former>,
}

impl EdgeProgram {
    /// Loads the programs of an object whose maps are there.
    pub(super) fn load(
        mut ebpf: Ebpf,
        pins: PinDir,
        former: Option<Former>,
    ) -> Result<Self, DataplaneError> {
        program(&mut ebpf, PROGRAM)?
            .load()
            .map_err(kernel("load the program `balance`"))?;
        Ok(Self {
            programs: Programs::load(&mut ebpf, abi::program::NAMES)?,
            members: map(&mut ebpf, "MEMBERS")?,
            ebpf,
            pins,
            former,
        })
    }

    /// The object that the programs are of.
    pub(super) fn object(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// What packets meet of the version before, until this one is attached.
    pub(super) fn former(&self) -> Option<&Former> {
        self.former.as_ref()
    }

    /// The id of the loaded program.
    pub fn id(&mut self) -> Result<u32, DataplaneError> {
        let info = program(&mut self.ebpf, PROGRAM)?
            .info()
            .map_err(kernel("read the program's id"))?;
        Ok(info.id())
    }

    /// Refuses an interface on which another program is present, before anything is made.
    pub fn refuse_other(pins: &PinDir, interfaces: &[Interface]) -> Result<(), DataplaneError> {
        for interface in interfaces {
            if interface.present.is_some() && !interface.is_held(pins)? {
                return Err(attachment::other(&interface.name, interface.present));
            }
        }
        Ok(())
    }

    /// Makes the program live on these interfaces and on no other, all of it or nothing new. Gives what became of each,
    /// in their order.
    pub fn attach(
        &mut self,
        interfaces: &[Interface],
        native: bool,
    ) -> Result<Vec<Attached>, DataplaneError> {
        self.programs.hold(&self.pins)?;
        let mut held = Vec::new();
        for interface in interfaces {
            held.push(interface.is_held(&self.pins)?);
        }
        let mut attached = vec![Attached::TakenOver; interfaces.len()];
        let mut new = Vec::new();
        // What may be refused comes first, before a program of the daemon before is replaced.
        for turn in [false, true] {
            for (place, interface) in interfaces.iter().enumerate() {
                if held[place] != turn {
                    continue;
                }
                match self.attach_to(interface, native) {
                    Ok(became) => attached[place] = became,
                    Err(error) => {
                        for pin in new {
                            self.pins.remove(pin)?;
                        }
                        return Err(error);
                    }
                }
                if !turn {
                    new.push(interface.pin());
                }
            }
        }
        let wanted: BTreeSet<String> = interfaces.iter().map(Interface::pin).collect();
        for pin in links(&self.pins)?.difference(&wanted) {
            self.pins.remove(pin)?;
        }
        self.programs.take_over(&self.pins)?;
        self.let_former_go()?;
        self.pins.remove(PROGRAM)?;
        program(&mut self.ebpf, PROGRAM)?
            .pin(self.pins.path(PROGRAM))
            .map_err(kernel("pin the program"))?;
        Ok(attached)
    }

    /// Makes the program live on one of them again, which was made anew: `before` is the number that it had.
    pub fn attach_again(
        &mut self,
        interface: &Interface,
        native: bool,
        before: u32,
    ) -> Result<(), DataplaneError> {
        self.attach_to(interface, native)?;
        if before != interface.index {
            self.pins.remove(link(before))?;
        }
        Ok(())
    }

    /// Tells the program which interfaces are members of which bonds: numbers of either.
    pub fn set_members(&mut self, members: &BTreeMap<u32, u32>) -> Result<(), DataplaneError> {
        let known: BTreeMap<u32, u32> = self.members.iter().flatten().collect();
        for gone in known.keys().filter(|member| !members.contains_key(member)) {
            self.members
                .remove(gone)
                .map_err(kernel("forget a member of a bond"))?;
        }
        for (member, bond) in members {
            if known.get(member) != Some(bond) {
                self.members
                    .insert(member, bond, 0)
                    .map_err(kernel("write a member of a bond"))?;
            }
        }
        Ok(())
    }

    fn attach_to(
        &mut self,
        interface: &Interface,
        native: bool,
    ) -> Result<Attached, DataplaneError> {
        let pin = interface.pin();
        former::take_link(&self.pins, &pin, interface.present)?;
        if interface.present.is_some_and(|of| of.native != native)
            && former::holds(&self.pins, &pin, interface.present)?
            && let Some(former) = self.pins.former()
        {
            // A link's mode can't change: whoever holds it keeps a new one away.
            former.remove(&pin)?;
        }
        let place = Place {
            interface: &interface.name,
            native,
            present: interface.present,
            pin: &self.pins.path(&interface.pin()),
        };
        attachment::attach(program(&mut self.ebpf, PROGRAM)?, &place)
    }

    /// The program is in the place of those of the version before: what these have is let go.
    fn let_former_go(&mut self) -> Result<(), DataplaneError> {
        self.former = None;
        let Some(former) = self.pins.former() else {
            return Ok(());
        };
        // Whoever finds a link there takes the maps for whole.
        for link in links(&former)? {
            former.remove(link)?;
        }
        former.remove_all().map(drop)
    }

    /// Detaches the program from every interface and removes every pin below the directory: packets pass untouched
    /// from now on. Gives whether there was anything.
    pub fn detach(pins: &PinDir) -> Result<bool, DataplaneError> {
        let mut any = false;
        for pins in [Some(pins.clone()), pins.former()].into_iter().flatten() {
            if pins.is_there() {
                for link in links(&pins)? {
                    pins.remove(link)?;
                }
            }
            any |= pins.remove_all()?;
        }
        Ok(any)
    }

    /// Removes every pin below the directory, unless there is a link among them.
    pub fn clear_unless_attached(pins: &PinDir) -> Result<(), DataplaneError> {
        if pins.is_there() && links(pins)?.is_empty() {
            pins.remove_all()?;
        }
        Ok(())
    }
}
