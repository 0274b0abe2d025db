//! What is told of several interfaces.

use balancer_api::{
    testing::{
        daemon::{Daemon, Manner},
        samples::busy,
    },
    views::{InterfaceStatus, XdpAttachment},
};

use super::Operated;

#[test]
fn each_of_several_interfaces_is_told_of() {
    let mut snapshot = busy();
    let first = snapshot.status.interfaces[0].clone();
    let other = |name: &str, xdp_mode, up| InterfaceStatus {
        name: name.to_owned(),
        xdp_mode,
        up,
        ..first.clone()
    };
    let others = [
        other("eth1", XdpAttachment::Generic, false),
        other("eth2", XdpAttachment::Detached, true),
    ];
    snapshot.status.interfaces.extend(others);
    snapshot.status.interface = "eth0, eth1, eth2".to_owned();
    snapshot.status.xdp_mode = XdpAttachment::Generic;
    let text = Daemon::start(Manner::Shows(snapshot)).prints("status");
    assert!(
        text.starts_with("WARNING: GENERIC mode on eth1: "),
        "{text}"
    );
    let lines = "\ninterface   eth0, eth1, eth2\n\
                 attached    eth0 native, eth1 generic (down), eth2 DETACHED, program 42, taken over as it ran\n";
    assert!(text.contains(lines), "{text}");
}
