//! The edge's program on each of its interfaces, through a pinned link of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    attachment::{self, Attached, Place, Present},
    edge::{EdgePlane, PROGRAM},
    error::{DataplaneError, kernel},
    former,
    object::program,
    pins::PinDir,
};

/// The pin of a link, and the interface's number behind it, which it keeps for life, whatever it is called.
const LINK: &str = "link-";

/// An interface that the program is to be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// The program that is on it now.
    pub present: Option<Present>,
}

impl Interface {
    fn pin(&self) -> String {
        format!("{LINK}{}", self.index)
    }

    /// Whether a pinned link holds what is there now, of this version or of the one before.
    fn is_held(&self, pins: &PinDir) -> Result<bool, DataplaneError> {
        let ours = attachment::holds(&pins.path(&self.pin()), self.present)?;
        Ok(ours || former::holds(pins, &self.pin(), self.present)?)
    }
}

impl EdgePlane {
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
            self.pins.remove(format!("{LINK}{before}"))?;
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

/// The pins of links.
pub(super) fn links(pins: &PinDir) -> Result<BTreeSet<String>, DataplaneError> {
    let mut links = pins.files()?;
    links.retain(|name| name.starts_with(LINK));
    Ok(links)
}
