//! Where the reader puts what it finds, so that one pass over a file tells everything.

use std::cell::RefCell;

use crate::workload::{Fate, Note, Place, Warning, WorkloadError, WorkloadErrors};

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings {
    errors: RefCell<Vec<WorkloadError>>,
    warnings: RefCell<Vec<Warning>>,
    notes: RefCell<Vec<Note>>,
}

/// More of them help nobody.
const MAX_ERRORS: usize = 100;

impl Findings {
    /// Something is wrong, so that nothing of the file will be used.
    pub(super) fn error(
        &self,
        place: &Place,
        path: impl Into<String>,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let error = WorkloadError {
            place: place.clone(),
            path: path.into(),
            problem: problem.into(),
            expected: expected.into(),
        };
        let mut errors = self.errors.borrow_mut();
        // The same value may be read twice: by its owner, and by a reference.
        if errors.len() < MAX_ERRORS && !errors.contains(&error) {
            errors.push(error);
        }
    }

    pub(super) fn warning(&self, place: &Place, text: impl Into<String>) {
        self.warnings.borrow_mut().push(Warning {
            place: place.clone(),
            text: text.into(),
        });
    }

    pub(super) fn note(&self, place: &Place, path: impl Into<String>, fate: Fate, why: &str) {
        self.notes.borrow_mut().push(Note {
            place: place.clone(),
            path: path.into(),
            fate,
            why: why.to_owned(),
        });
    }

    /// Whether nothing is wrong so far.
    pub(super) fn are_clean(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// Warnings and notes, or the errors, each in the order of their places.
    pub(super) fn into_result(self) -> Result<(Vec<Warning>, Vec<Note>), WorkloadErrors> {
        let (mut errors, mut warnings, mut notes) = (
            self.errors.into_inner(),
            self.warnings.into_inner(),
            self.notes.into_inner(),
        );
        errors.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        notes.sort_by(|a, b| a.place.cmp(&b.place));
        match errors.is_empty() {
            true => Ok((warnings, notes)),
            false => Err(WorkloadErrors(errors)),
        }
    }
}
