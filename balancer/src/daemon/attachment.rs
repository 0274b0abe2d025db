//! How the keeper keeps its program on the interface.

use tokio::task::block_in_place;
use tracing::{info, warn};

use super::keeper::Keeper;
use crate::{
    config::XdpMode,
    dataplane::{Attached, DataplaneError, EdgePlane, PinDir, Present},
    nexthop::{self, AttachedMode, AttachedXdp, NextHopError},
};

impl Keeper {
    /// Sees how the kernel has the program, and attaches it again to an interface that was made anew.
    pub(super) async fn look_after_attachment(&mut self) {
        let name = self.config.interface.clone();
        let view = match nexthop::interface(&name).await {
            Ok(view) => view,
            Err(error) => {
                // Any other error says nothing of the program, and must not move traffic.
                if matches!(error, NextHopError::NoInterface { .. }) {
                    self.attachment = None;
                }
                self.faults.insert("attachment", error.to_string());
                return;
            }
        };
        self.attachment = view
            .xdp
            .filter(|xdp| Some(xdp.program_id) == self.plane.program_id().ok());
        if self.attachment.is_some() || self.detached {
            self.faults.remove("attachment");
        } else if let Err(error) = self.attach(view.xdp) {
            self.faults.insert("attachment", error.to_string());
        }
    }

    /// Attaches the program; `present` is what the interface has now. What the kernel makes of it
    /// is seen on the next tick.
    pub(super) fn attach(&mut self, present: Option<AttachedXdp>) -> Result<(), DataplaneError> {
        let interface = &self.config.interface;
        let native = self.config.xdp_mode == XdpMode::Native;
        let present = present.map(self::present);
        match block_in_place(|| self.plane.attach(interface, native, present))? {
            Attached::Fresh => info!("attached to {interface}"),
            Attached::TakenOver => {
                self.taken_over = true;
                info!("took over the program on {interface}, without a packet in between");
            }
        }
        Ok(())
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
        self.attachment = None;
        warn!(
            "detached from {} as asked: packets pass untouched until lbd starts again",
            self.config.interface
        );
        Ok(())
    }
}

/// An attached program, in the data plane's words.
pub(super) fn present(xdp: AttachedXdp) -> Present {
    Present {
        program_id: xdp.program_id,
        native: xdp.mode != AttachedMode::Generic,
    }
}
