//! The count that closes a run: the sums of libtest's `test result:` lines.

/// What has been read so far.
#[derive(Default)]
pub(crate) struct Count {
    passed: usize,
    failed: usize,
    ignored: usize,
    /// A runner that announced tests and has not told their result.
    unfinished: usize,
}

impl Count {
    /// Reads one line of a runner.
    pub(crate) fn read(&mut self, line: &str) {
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.unfinished += 1;
        }
        let Some(results) = line.strip_prefix("test result: ") else {
            return;
        };
        self.unfinished = self.unfinished.saturating_sub(1);
        self.passed += number_before(results, " passed");
        self.failed += number_before(results, " failed");
        self.ignored += number_before(results, " ignored");
    }

    /// How many tests passed.
    pub(crate) fn passed(&self) -> usize {
        self.passed
    }

    /// Whether a test failed, or a runner died.
    pub(crate) fn is_failure(&self) -> bool {
        self.failed + self.unfinished > 0
    }

    /// Counts something else that failed: a runner that did not start.
    pub(crate) fn add_failure(&mut self) {
        self.failed += 1;
    }

    /// Counts a test that was left out.
    pub(crate) fn add_skipped(&mut self) {
        self.ignored += 1;
    }

    /// The closing line. A runner that died took at least one test with it.
    pub(crate) fn summary(&self) -> String {
        let failed = self.failed + self.unfinished;
        let mut line = format!("{} passed, {failed} failed", self.passed);
        if self.ignored > 0 {
            line.push_str(&format!(", {} skipped", self.ignored));
        }
        line
    }
}

fn number_before(results: &str, what: &str) -> usize {
    results
        .split(what)
        .next()
        .and_then(|before| before.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(output: &str) -> Count {
        let mut count = Count::default();
        output.lines().for_each(|line| count.read(line));
        count
    }

    #[test]
    fn the_results_of_all_runners_are_summed() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
            running 12 tests\n\
            test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 1 filtered out\n";
        assert_eq!(count(output).summary(), "13 passed, 2 failed");
    }

    #[test]
    fn skipped_tests_are_told() {
        let output = "test result: ok. 1 passed; 0 failed; 4 ignored; 0 measured\n";
        assert_eq!(count(output).summary(), "1 passed, 0 failed, 4 skipped");
    }

    #[test]
    fn a_runner_that_died_counts_as_a_failure() {
        let output = "running 3 tests\ntest one ... ok\n\
            running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert_eq!(count(output).summary(), "1 passed, 1 failed");
    }
}
