//! Prometheus' classic text format, written sample by sample.

use std::fmt::{self, Display, Write};

/// A page that is being written.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

/// A family on a page: samples follow its head, which is left out with them.
#[derive(Debug)]
pub(super) struct Family<'a> {
    page: &'a mut String,
    /// Its type.
    kind: &'static str,
    name: &'static str,
    help: &'static str,
    has_head: bool,
}

impl Exposition {
    /// An empty page with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// Begins a family of numbers that only grow.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family("counter", name, help)
    }

    /// Begins a family of numbers that go up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family("gauge", name, help)
    }

    fn family(&mut self, kind: &'static str, name: &'static str, help: &'static str) -> Family<'_> {
        Family {
            page: &mut self.0,
            kind,
            name,
            help,
            has_head: false,
        }
    }

    /// The page.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds the sample with these labels, of which no other sample of the family has the same.
    pub(super) fn sample(&mut self, labels: &[(&str, &dyn Display)], value: u64) {
        self.write(labels, value)
            .expect("writing to a string does not fail");
    }

    fn write(&mut self, labels: &[(&str, &dyn Display)], value: u64) -> fmt::Result {
        let Self {
            page,
            kind,
            name,
            help,
            has_head,
        } = self;
        if !std::mem::replace(has_head, true) {
            write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n")?;
        }
        page.write_str(name)?;
        let mut before = '{';
        for (label, of) in labels {
            write!(page, "{before}{label}=\"")?;
            write!(Escaped(page), "{of}")?;
            page.write_char('"')?;
            before = ',';
        }
        if !labels.is_empty() {
            page.write_char('}')?;
        }
        writeln!(page, " {value}")
    }
}

/// Writes the value of a label.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '"', '\n']) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            self.0.push_str(match special.as_bytes()[0] {
                b'\n' => "\\n",
                b'"' => "\\\"",
                _ => "\\\\",
            });
            rest = &special[1..];
        }
        self.0.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_without_samples_has_no_head() {
        let mut page = Exposition::default();
        page.gauge("lb_nothing", "Nothing.");
        page.counter("lb_things_total", "Things.").sample(&[], 1);
        assert_eq!(
            page.into_text(),
            "# HELP lb_things_total Things.\n# TYPE lb_things_total counter\nlb_things_total 1\n"
        );
    }

    #[test]
    fn what_would_end_the_value_of_a_label_is_escaped() {
        let mut page = Exposition::default();
        let mut family = page.gauge("lb_thing", "A thing.");
        family.sample(&[("one", &"a\"b\\c\nd"), ("other", &7)], u64::MAX);
        let text = page.into_text();
        let sample = text.lines().last();
        assert_eq!(
            sample,
            Some(r#"lb_thing{one="a\"b\\c\nd",other="7"} 18446744073709551615"#)
        );
    }
}
