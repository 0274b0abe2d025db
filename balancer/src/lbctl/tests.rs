//! Commands against a daemon.
