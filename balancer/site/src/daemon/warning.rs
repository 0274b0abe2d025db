//! What goes wrong now with one thing, in a sentence.

use tracing::warn;

/// Logged when it begins, so that something that fails at each look fills no log.
#[derive(Debug, Default)]
pub(super) struct Warning(Option<String>);

impl Warning {
    /// Something goes wrong; logged again when the sentence is another one.
    pub(super) fn raise(&mut self, sentence: String) {
        if self.0.as_ref() != Some(&sentence) {
            warn!("{sentence}");
            self.0 = Some(sentence);
        }
    }

    /// As [`Self::raise`], but nothing is logged when only the sentence differs.
    pub(super) fn raise_once(&mut self, sentence: String) {
        if self.0.is_none() {
            warn!("{sentence}");
        }
        self.0 = Some(sentence);
    }

    /// It goes well again.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// The sentence, while something goes wrong.
    pub(super) fn sentence(&self) -> Option<&str> {
        self.0.as_deref()
    }
}
