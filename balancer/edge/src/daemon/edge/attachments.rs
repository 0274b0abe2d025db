//! The program on the edge's interfaces, and how it stays there.

use balancer_api::views::{InterfaceStatus, XdpAttachment};
use balancer_config::XdpMode;
use tokio::task::block_in_place;
use tracing::{debug, info, warn};

use crate::{
    dataplane::{Attached, DataplaneError, EdgeProgram, Interface, PinDir, Present},
    nexthop::{self, AttachedMode, AttachedXdp, InterfaceView, Interfaces, NextHopError},
};

/// The interfaces of the configuration, and the program on them.
pub(super) struct Attachments {
    each: Vec<Attachment>,
    native: bool,
    /// Whether a program was found running at the start, and replaced.
    taken_over: bool,
    /// Set by `lbctl detach`: the program stays away until the next start.
    detached: bool,
    /// Why the program does not know which interfaces are members of bonds.
    bonds: Option<String>,
}

impl Attachments {
    pub(super) fn new(interfaces: &[Interface], mode: XdpMode) -> Self {
        Self {
            each: interfaces.iter().map(Attachment::new).collect(),
            native: mode == XdpMode::Native,
            taken_over: false,
            detached: false,
            bonds: None,
        }
    }

    /// Attaches the program, and takes it off interfaces that are no longer configured. What the kernel makes of it is seen
    /// at the next look.
    pub(super) fn attach(
        &mut self,
        program: &mut EdgeProgram,
        interfaces: &[Interface],
    ) -> Result<(), DataplaneError> {
        let attached = block_in_place(|| program.attach(interfaces, self.native))?;
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

    /// Sees how the kernel has the program, and attaches it again to interfaces that were made anew.
    pub(super) async fn look_after(&mut self, program: &mut EdgeProgram) {
        let all = match Interfaces::look().await {
            Ok(all) => all,
            Err(error) => {
                // It says nothing of the program, and must not move traffic.
                for attachment in &mut self.each {
                    attachment.fault = Some(error.to_string());
                }
                return;
            }
        };
        let ours = program.id().ok();
        for attachment in &mut self.each {
            let Some(view) = attachment.see(ours, &all).await else {
                continue;
            };
            let missing = attachment.xdp.is_none() && !self.detached;
            let outcome = match missing {
                true => attachment.attach_again(program, &Interface::from(&view), self.native),
                false => Ok(()),
            };
            attachment.fault = outcome.err().map(|error| error.to_string());
        }
        // Tags of frames that come by a member stay when they leave by its bond: the program must know.
        let told = block_in_place(|| program.set_members(&all.bond_members()));
        self.bonds = told.err().map(|error| error.to_string());
    }

    /// Takes the program off, and its pins away.
    pub(super) fn detach(&mut self, pins: &PinDir) -> Result<(), DataplaneError> {
        block_in_place(|| EdgeProgram::detach(pins))?;
        for attachment in &mut self.each {
            attachment.xdp = None;
        }
        warn!("{}", self.detached_as_asked());
        Ok(())
    }

    /// Has the program stay away, or come back at the next look; gives what was so before.
    pub(super) fn set_detached(&mut self, detached: bool) -> bool {
        std::mem::replace(&mut self.detached, detached)
    }

    /// Whether any interface has the program, and is to have it.
    pub(super) fn serve(&self) -> bool {
        !self.detached && self.each.iter().any(|each| each.xdp.is_some())
    }

    /// The names of all interfaces, for people.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self
            .each
            .iter()
            .map(|each| each.interface.as_str())
            .collect();
        names.join(", ")
    }

    /// How the program is attached on the whole: the slower mode, where there are two.
    pub(super) fn mode(&self) -> Option<AttachedXdp> {
        let attached = self.each.iter().filter_map(|each| each.xdp);
        attached.max_by_key(|xdp| xdp.mode == AttachedMode::Generic)
    }

    /// The same, for people.
    pub(super) fn xdp_mode(&self) -> XdpAttachment {
        shown(self.mode())
    }

    pub(super) fn taken_over(&self) -> bool {
        self.taken_over
    }

    pub(super) fn views(&self) -> Vec<InterfaceStatus> {
        self.each.iter().map(Attachment::view).collect()
    }

    /// What an operator should know, a sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.bonds.iter().cloned().collect();
        if self.detached {
            warnings.push(self.detached_as_asked());
        }
        warnings.extend(self.each.iter().flat_map(Attachment::warnings));
        warnings
    }

    fn detached_as_asked(&self) -> String {
        format!(
            "detached from {} as asked: packets pass untouched until lbd starts again",
            self.names()
        )
    }
}

/// An interface of the configuration, as the kernel last said.
#[derive(Debug)]
struct Attachment {
    interface: String,
    /// Its number, when the program was attached.
    index: u32,
    /// Our program on it.
    xdp: Option<AttachedXdp>,
    /// Whether it is set up and has a carrier.
    up: bool,
    /// Who takes VLAN tags off before the program sees the frame: itself, or members of a bond.
    taking_tags_off: Vec<String>,
    /// What is wrong with it now.
    fault: Option<String>,
}

impl Attachment {
    fn new(interface: &Interface) -> Self {
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
    fn warnings(&self) -> Vec<String> {
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

    fn view(&self) -> InterfaceStatus {
        InterfaceStatus {
            name: self.interface.clone(),
            xdp_mode: shown(self.xdp),
            up: self.up,
            takes_tags_off: !self.taking_tags_off.is_empty(),
        }
    }

    /// Takes in what the kernel says of it; its view, if it is there.
    async fn see(&mut self, ours: Option<u32>, all: &Interfaces) -> Option<InterfaceView> {
        let view = match all.named(&self.interface) {
            Ok(view) => view,
            Err(error) => {
                // Any other error says nothing of the program, and must not move traffic.
                if matches!(error, NextHopError::NoInterface { .. }) {
                    self.xdp = None;
                }
                self.fault = Some(error.to_string());
                return None;
            }
        };
        self.xdp = view.xdp.filter(|xdp| Some(xdp.program_id) == ours);
        self.look_at_tags(&view, all).await;
        self.up = view.up;
        Some(view)
    }

    fn attach_again(
        &mut self,
        program: &mut EdgeProgram,
        interface: &Interface,
        native: bool,
    ) -> Result<(), DataplaneError> {
        block_in_place(|| program.attach_again(interface, native, self.index))?;
        self.index = interface.index;
        info!("attached to {} again", interface.name);
        Ok(())
    }

    /// Asks again each time: the operator may have changed it.
    async fn look_at_tags(&mut self, view: &InterfaceView, all: &Interfaces) {
        let taking = match nexthop::taking_tags_off(view, all).await {
            Ok(taking) => taking,
            // The interface has just gone.
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

/// How the program is attached, for people.
fn shown(xdp: Option<AttachedXdp>) -> XdpAttachment {
    match xdp.map(|xdp| xdp.mode) {
        Some(AttachedMode::Native) => XdpAttachment::Native,
        Some(AttachedMode::Generic) => XdpAttachment::Generic,
        Some(AttachedMode::Offload) => XdpAttachment::Offload,
        None => XdpAttachment::Detached,
    }
}

fn tags_taken_off(interface: &str) -> String {
    format!(
        "{interface} takes VLAN tags off before the program sees the frame, so tagged packets leave without them: \
         if frames come tagged, `ethtool -K {interface} rxvlan off` (and rx-vlan-stag-hw-parse off)"
    )
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
