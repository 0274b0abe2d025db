//! How the keeper keeps its program on the interfaces.

use tokio::task::block_in_place;
use tracing::{debug, info, warn};

use super::keeper::Keeper;
use crate::{
    api::views::InterfaceStatus,
    config::XdpMode,
    dataplane::{Attached, DataplaneError, EdgePlane, Interface, PinDir, Present},
    nexthop::{self, AttachedMode, AttachedXdp, InterfaceView, Interfaces, NextHopError},
};

/// An interface of the configuration, as the kernel last said.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) interface: String,
    /// Its number, when the program was attached.
    index: u32,
    /// Our program on it.
    pub(super) xdp: Option<AttachedXdp>,
    /// Whether it is set up and has a carrier.
    up: bool,
    /// Who takes VLAN tags off before the program sees the frame: itself, or members of a bond.
    taking_tags_off: Vec<String>,
    /// What is wrong with it now.
    fault: Option<String>,
}

impl Attachment {
    pub(super) fn new(interface: &Interface) -> Self {
        Self {
            interface: interface.name.clone(),
            index: interface.index,
            xdp: None,
            up: true,
            taking_tags_off: Vec::new(),
            fault: None,
        }
    }

    /// What an operator should know of it, a sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let interface = &self.interface;
        let mut warnings: Vec<String> = self.fault.iter().cloned().collect();
        if self
            .xdp
            .is_some_and(|xdp| xdp.mode == AttachedMode::Generic)
        {
            warnings.push(format!(
                "{interface} runs generic XDP, which is several times slower than native"
            ));
        }
        if self.xdp.is_some() && !self.up {
            warnings.push(format!("{interface} is down: no packet comes by it"));
        }
        warnings.extend(self.taking_tags_off.iter().map(|name| tags_taken_off(name)));
        warnings
    }

    pub(super) fn view(&self) -> InterfaceStatus {
        InterfaceStatus {
            name: self.interface.clone(),
            xdp_mode: match self.xdp {
                Some(xdp) => xdp.mode.to_string(),
                None => "detached".to_owned(),
            },
            up: self.up,
            takes_tags_off: !self.taking_tags_off.is_empty(),
        }
    }

    /// Asks again each time: the operator may have changed it.
    async fn look_at_tags(&mut self, view: &InterfaceView, all: &Interfaces) {
        let taking = match nexthop::taking_tags_off(view, all).await {
            Ok(taking) => taking,
            // The interface has just gone, or the kernel cannot tell (before 5.6).
            Err(error) => return debug!("{}: {error}", self.interface),
        };
        for name in &taking {
            if !self.taking_tags_off.contains(name) {
                warn!("{}", tags_taken_off(name));
            }
        }
        self.taking_tags_off = taking;
    }
}

fn tags_taken_off(interface: &str) -> String {
    format!(
        "{interface} takes VLAN tags off before the program sees the frame, so tagged packets leave without them: \
         if frames come tagged, `ethtool -K {interface} rxvlan off` (and rx-vlan-stag-hw-parse off)"
    )
}

impl Keeper {
    /// Sees how the kernel has the program, and attaches it again to interfaces that were made anew.
    pub(super) async fn look_after_attachments(&mut self) {
        let all = match Interfaces::look().await {
            Ok(all) => all,
            Err(error) => {
                // It says nothing of the program, and must not move traffic.
                for attachment in &mut self.attachments {
                    attachment.fault = Some(error.to_string());
                }
                return;
            }
        };
        for place in 0..self.attachments.len() {
            self.look_after_attachment(place, &all).await;
        }
        self.look_after_bonds(&all);
    }

    /// Tags of frames that come by a member stay when they leave by its bond: the program must know.
    fn look_after_bonds(&mut self, all: &Interfaces) {
        match block_in_place(|| self.plane.set_members(&all.bond_members())) {
            Err(error) => drop(self.faults.insert("bonds", error.to_string())),
            Ok(()) => drop(self.faults.remove("bonds")),
        }
    }

    async fn look_after_attachment(&mut self, place: usize, all: &Interfaces) {
        let ours = self.plane.program_id().ok();
        let attachment = &mut self.attachments[place];
        let view = match all.named(&attachment.interface) {
            Ok(view) => view,
            Err(error) => {
                // Any other error says nothing of the program, and must not move traffic.
                if matches!(error, NextHopError::NoInterface { .. }) {
                    attachment.xdp = None;
                }
                attachment.fault = Some(error.to_string());
                return;
            }
        };
        attachment.xdp = view.xdp.filter(|xdp| Some(xdp.program_id) == ours);
        attachment.look_at_tags(&view, all).await;
        attachment.up = view.up;
        let missing = attachment.xdp.is_none() && !self.detached;
        let outcome = match missing {
            true => self.attach_again(place, &Interface::from(&view)),
            false => Ok(()),
        };
        self.attachments[place].fault = outcome.err().map(|error| error.to_string());
    }

    /// Whether any interface has the program.
    pub(super) fn is_attached(&self) -> bool {
        self.attachments
            .iter()
            .any(|attachment| attachment.xdp.is_some())
    }

    /// Attaches the program, and takes it off interfaces that are no longer configured. What the kernel makes of it is seen
    /// on the next tick.
    pub(super) fn attach(&mut self, interfaces: &[Interface]) -> Result<(), DataplaneError> {
        let native = self.is_native();
        let attached = block_in_place(|| self.plane.attach(interfaces, native))?;
        for (Interface { name, .. }, attached) in interfaces.iter().zip(attached) {
            match attached {
                Attached::Fresh => info!("attached to {name}"),
                Attached::TakenOver => {
                    self.taken_over = true;
                    info!("took over the program on {name}, without a packet in between");
                }
            }
        }
        Ok(())
    }

    fn attach_again(&mut self, place: usize, interface: &Interface) -> Result<(), DataplaneError> {
        let (native, before) = (self.is_native(), self.attachments[place].index);
        block_in_place(|| self.plane.attach_again(interface, native, before))?;
        self.attachments[place].index = interface.index;
        info!("attached to {} again", interface.name);
        Ok(())
    }

    fn is_native(&self) -> bool {
        self.config.xdp_mode == XdpMode::Native
    }

    /// Removes what a start that failed has pinned, unless an earlier daemon's program is live on it.
    pub(super) fn clear_away(&self) {
        let pins = PinDir::new(&self.config.pin_dir);
        if let Err(error) = EdgePlane::clear_unless_attached(&pins) {
            warn!("what was pinned stays: {error}");
        }
    }

    /// Takes the program off, after routers were told to send nothing any more.
    pub(super) async fn detach(&mut self) -> Result<(), String> {
        let before = self.detached;
        self.detached = true;
        self.withdraw().await;
        let pins = PinDir::new(&self.config.pin_dir);
        if let Err(error) = block_in_place(|| EdgePlane::detach(&pins)) {
            self.detached = before;
            self.announce();
            return Err(error.to_string());
        }
        for attachment in &mut self.attachments {
            attachment.xdp = None;
        }
        warn!("{}", self.detached_as_asked());
        Ok(())
    }

    pub(super) fn detached_as_asked(&self) -> String {
        format!(
            "detached from {} as asked: packets pass untouched until lbd starts again",
            self.interfaces()
        )
    }

    /// The names of all interfaces, for people.
    pub(super) fn interfaces(&self) -> String {
        let names: Vec<&str> = (self.attachments.iter())
            .map(|attachment| attachment.interface.as_str())
            .collect();
        names.join(", ")
    }

    /// How the program is attached on the whole: the slower mode, where there are two.
    pub(super) fn mode(&self) -> Option<AttachedXdp> {
        let attached = self.attachments.iter().filter_map(|each| each.xdp);
        attached.max_by_key(|xdp| xdp.mode == AttachedMode::Generic)
    }
}

impl From<&InterfaceView> for Interface {
    fn from(view: &InterfaceView) -> Self {
        Self {
            name: view.name.clone(),
            index: view.index,
            present: view.xdp.map(|xdp| Present {
                program_id: xdp.program_id,
                native: xdp.mode != AttachedMode::Generic,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attachment() -> Attachment {
        Attachment::new(&Interface {
            name: "eth7".to_owned(),
            index: 7,
            present: None,
        })
    }

    // Promise: O7
    #[test]
    fn an_interface_that_takes_tags_off_is_told_with_the_remedy() {
        let mut attachment = attachment();
        assert_eq!(attachment.warnings(), [""; 0]);
        attachment.taking_tags_off = vec!["eth7".to_owned()];
        let told = attachment.warnings().join("\n");
        assert!(told.starts_with("eth7 takes VLAN tags off"), "{told}");
        assert!(told.contains("`ethtool -K eth7 rxvlan off`"), "{told}");
        assert!(attachment.view().takes_tags_off);
    }
}
