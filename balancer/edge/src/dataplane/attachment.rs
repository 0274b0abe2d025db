//! An XDP program on an interface, through a pinned link.

use std::path::Path;

use aya::programs::{
    Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    loaded_programs,
    xdp::XdpLink,
};

use super::error::{DataplaneError, kernel};

/// How an attachment came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The interface had no program before.
    Fresh,
    /// The program of an earlier daemon was replaced, without a packet in between.
    TakenOver,
}

/// The XDP program that an interface has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    /// Its id.
    pub program_id: u32,
    /// Whether it runs in the driver, or in the device.
    pub native: bool,
}

/// Where an XDP program goes.
pub(super) struct Place<'a> {
    pub(super) interface: &'a str,
    /// Whether native XDP is asked for, rather than generic.
    pub(super) native: bool,
    pub(super) present: Option<Present>,
    /// Where the link is pinned.
    pub(super) pin: &'a Path,
}

/// Whether the link that is pinned there holds what is present on an interface.
pub(super) fn holds(pin: &Path, present: Option<Present>) -> Result<bool, DataplaneError> {
    let Some(present) = present else {
        return Ok(false);
    };
    let link = pinned(pin)?.map(|link| link.info()).transpose();
    let link = link.map_err(kernel("read the pinned link"))?;
    Ok(link.is_some_and(|link| link.program_id() == present.program_id))
}

/// The refusal of an interface with another program.
pub(super) fn other(interface: &str, present: Option<Present>) -> DataplaneError {
    let id = present.map_or(0, |present| present.program_id);
    DataplaneError::OtherProgram {
        interface: interface.to_owned(),
        name: program_name(id),
        id,
    }
}

/// Attaches `program`, or puts it in the place of the one that the pinned link holds. Another
/// program on the interface is refused and named.
pub(super) fn attach(program: &mut Xdp, place: &Place<'_>) -> Result<Attached, DataplaneError> {
    let mut present = place.present;
    if let Some(link) = pinned(place.pin)? {
        let id = link
            .info()
            .map_err(kernel("read the pinned link"))?
            .program_id();
        let ours = present.filter(|present| present.program_id == id);
        if ours.is_some_and(|ours| ours.native == place.native) {
            let link = XdpLink::try_from(link).map_err(kernel("use the pinned link"))?;
            let link = program
                .attach_to_link(link)
                .map_err(kernel("replace the program"))?;
            // The pin alone holds the link from now on, so that removing it detaches.
            drop(program.take_link(link).map_err(kernel("take the link"))?);
            return Ok(Attached::TakenOver);
        }
        // A link's mode can't change; and one to an interface that was made anew, or that the
        // configuration no longer names, holds nothing of use.
        std::fs::remove_file(place.pin).map_err(|source| DataplaneError::Pin {
            path: place.pin.to_owned(),
            source,
        })?;
        drop(link);
        if ours.is_some() {
            present = None;
        }
    }
    if present.is_some() {
        return Err(other(place.interface, present));
    }
    let mode = if place.native {
        XdpMode::Driver
    } else {
        XdpMode::Skb
    };
    let link = program
        .attach(place.interface, mode)
        .map_err(|error| refused(place, kernel("attach")(error)))?;
    let link = program.take_link(link).map_err(kernel("take the link"))?;
    let link = FdLink::try_from(link).map_err(kernel("pin the link"))?;
    link.pin(place.pin).map_err(kernel("pin the link"))?;
    Ok(Attached::Fresh)
}

fn refused(place: &Place<'_>, error: DataplaneError) -> DataplaneError {
    match (place.native, error) {
        (true, DataplaneError::Kernel { message, .. }) => DataplaneError::NoNativeXdp {
            interface: place.interface.to_owned(),
            reason: message,
        },
        (_, error) => error,
    }
}

/// The pinned link, if there is one.
pub(super) fn pinned(path: &Path) -> Result<Option<FdLink>, DataplaneError> {
    if !path.exists() {
        return Ok(None);
    }
    let link = PinnedLink::from_pin(path).map_err(kernel("open the pinned link"))?;
    Ok(Some(link.into()))
}

/// The name of a loaded program; `?` when it is gone or nameless.
fn program_name(id: u32) -> String {
    loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .unwrap_or_else(|| "?".to_owned())
}
