//! A tc program on an interface: through tcx with a pinned link, or through clsact before Linux 6.6.

use std::{io, path::Path};

use aya::{
    Ebpf,
    programs::{SchedClassifier, TcAttachType, links::FdLink, tc},
    util::KernelVersion,
};

use super::{
    attachment::pinned,
    error::{DataplaneError, kernel},
};

/// A program of the agent's object, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Classifier {
    pub(super) name: &'static str,
    pub(super) direction: TcAttachType,
}

impl Classifier {
    /// The program in the object.
    pub(super) fn of(self, ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, DataplaneError> {
        let program = ebpf
            .program_mut(self.name)
            .expect("the object has its programs");
        program.try_into().map_err(kernel("use a classifier"))
    }

    /// Attaches the loaded program, in the place of an earlier agent's.
    pub(super) fn attach(
        self,
        program: &mut SchedClassifier,
        interface: &str,
        pin: &Path,
    ) -> Result<(), DataplaneError> {
        let tcx =
            KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0));
        if !tcx {
            return self.attach_by_clsact(program, interface);
        }
        if let Some(link) = pinned(pin)? {
            let id = link
                .info()
                .map_err(kernel("read the pinned link"))?
                .program_id();
            let (_, present) = SchedClassifier::query_tcx(interface, self.direction)
                .map_err(kernel("list the interface's classifiers"))?;
            if present.iter().any(|program| program.id() == id) {
                let link = tc::SchedClassifierLink::try_from(link)
                    .map_err(kernel("use the pinned link"))?;
                let link = program
                    .attach_to_link(link)
                    .map_err(kernel("replace a classifier"))?;
                // The pin alone holds the link from now on, so that removing it detaches.
                drop(program.take_link(link).map_err(kernel("take the link"))?);
                return Ok(());
            }
            std::fs::remove_file(pin).map_err(|source| DataplaneError::Pin {
                path: pin.to_owned(),
                source,
            })?;
        }
        let link = program
            .attach(interface, self.direction)
            .map_err(kernel("attach a classifier"))?;
        let link = program.take_link(link).map_err(kernel("take the link"))?;
        let link = FdLink::try_from(link).map_err(kernel("pin the link"))?;
        link.pin(pin).map_err(kernel("pin the link"))?;
        Ok(())
    }

    /// A filter on clsact stays when the agent stops; an earlier agent's is replaced.
    fn attach_by_clsact(
        self,
        program: &mut SchedClassifier,
        interface: &str,
    ) -> Result<(), DataplaneError> {
        match tc::qdisc_add_clsact(interface) {
            Ok(()) => {}
            Err(error) if is_there(&error) => {}
            Err(error) => return Err(kernel("add clsact")(error)),
        }
        match tc::qdisc_detach_program(interface, self.direction, self.name) {
            Ok(()) => {}
            Err(tc::TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(kernel("remove an earlier classifier")(error)),
        }
        let link = program
            .attach(interface, self.direction)
            .map_err(kernel("attach a classifier"))?;
        // Dropped, the link would take the filter with it.
        std::mem::forget(program.take_link(link).map_err(kernel("take the link"))?);
        Ok(())
    }
}

/// Whether clsact is on the interface already: from the program before, or from somebody else.
fn is_there(error: &tc::TcError) -> bool {
    match error {
        tc::TcError::AlreadyAttached => true,
        tc::TcError::NetlinkError(error) => error.raw_os_error().is_some_and(|code| {
            io::Error::from_raw_os_error(code).kind() == io::ErrorKind::AlreadyExists
        }),
        _ => false,
    }
}
