//! What is to be done after a look, and addresses as announcements.

use std::{collections::BTreeSet, net::IpAddr, path::Path, time::Duration};

use balancer_core::model;
use balancer_host::netns::scratch::ScratchNetns;
use tokio::sync::watch;

use super::{
    memory::{Memory, remember},
    speaker::{Found, Speaker, Todo},
    *,
};

fn vips(list: &[&str]) -> BTreeSet<IpAddr> {
    list.iter().map(|vip| vip.parse().unwrap()).collect()
}

fn found(list: &[(&str, bool)]) -> Found {
    let each = |&(vip, right): &(&str, bool)| (vip.parse().unwrap(), right);
    list.iter().map(each).collect()
}

fn on_lo() -> model::Speaker {
    model::Speaker::Local { link: "lo".into() }
}

fn gobgp() -> model::Speaker {
    model::Speaker::Gobgp(model::Gobgp {
        address: "127.0.0.1:1".parse().unwrap(),
        next_hop_ipv4: None,
        next_hop_ipv6: None,
        communities: Vec::new(),
        med: None,
    })
}

// Promise: B5
#[tokio::test]
async fn only_what_differs_is_done_and_only_ours_is_withdrawn() {
    let gobgp = Speaker::new(&gobgp(), "eth0");
    let todo = gobgp.todo(
        &vips(&["198.51.100.1", "198.51.100.2", "198.51.100.3"]),
        &vips(&["198.51.100.1", "198.51.100.4", "198.51.100.5"]),
        &found(&[
            ("198.51.100.1", true),
            ("198.51.100.2", false),
            ("198.51.100.4", true),
            ("198.51.100.6", true),
        ]),
    );
    assert_eq!(todo.announce, vips(&["198.51.100.2", "198.51.100.3"]));
    assert_eq!(todo.withdraw, vips(&["198.51.100.4"]));
    assert_eq!(todo.foreign, vips(&[]));
}

#[test]
fn an_address_that_somebody_else_put_there_stays_theirs() {
    let local = Speaker::new(&on_lo(), "eth0");
    let (one, there) = (vips(&["198.51.100.1"]), found(&[("198.51.100.1", true)]));
    let todo = local.todo(&one, &vips(&[]), &there);
    assert_eq!((&todo.foreign, todo.announce.len()), (&one, 0));
    let said = local.complain(&todo).unwrap_err().to_string();
    assert!(
        said.starts_with("198.51.100.1 is on lo without lbd"),
        "{said}"
    );
    assert_eq!(local.todo(&vips(&[]), &vips(&[]), &there), Todo::default());
    // Ours is no reason to complain.
    assert_eq!(local.todo(&one, &one, &there), Todo::default());
}

/// A follower of addresses on `lo` of its own namespace, and the way to tell it.
struct Scene {
    netns: ScratchNetns,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            netns: ScratchNetns::new(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Asks for one set after the other; what is said of the last.
    fn follow(&self, wanted: &[&[&str]]) -> SpeakerStatus {
        let wanted: Vec<BTreeSet<IpAddr>> = wanted.iter().map(|list| vips(list)).collect();
        self.netns.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(follow(self.directory.path(), wanted))
        })
    }

    fn on_lo(&self) -> String {
        self.netns.ip("-o addr show dev lo")
    }
}

async fn follow(directory: &Path, sets: Vec<BTreeSet<IpAddr>>) -> SpeakerStatus {
    let (tell, wanted) = watch::channel(None);
    let (say, mut status) = watch::channel(SpeakerStatus::default());
    let announcer = Announcer {
        speaker: on_lo(),
        interface: "lo".into(),
        state_dir: directory.to_owned(),
    };
    spawn(announcer, wanted, say).unwrap();
    for set in sets {
        tell.send(Some(set.clone())).unwrap();
        let of_this = status.wait_for(|status| status.wanted.as_ref() == Some(&set));
        tokio::time::timeout(Duration::from_secs(10), of_this)
            .await
            .expect("status in time")
            .unwrap();
    }
    status.borrow().clone()
}

#[test]
fn the_vips_that_are_wanted_are_on_the_link_and_no_others() {
    let scene = Scene::new();
    let status = scene.follow(&[&["198.51.100.1", "2001:db8::1"]]);
    assert_eq!(status.error, None);
    assert_eq!(status.announced, vips(&["198.51.100.1", "2001:db8::1"]));
    let lo = scene.on_lo();
    assert!(
        lo.contains("198.51.100.1/32") && lo.contains("2001:db8::1/128"),
        "{lo}"
    );

    let status = scene.follow(&[&["198.51.100.1", "198.51.100.2"], &["198.51.100.2"]]);
    assert_eq!(status.announced, vips(&["198.51.100.2"]));
    let lo = scene.on_lo();
    assert!(
        !lo.contains("198.51.100.1/32") && !lo.contains("2001:db8::1"),
        "{lo}"
    );
    assert!(
        lo.contains("127.0.0.1/8") && lo.contains("198.51.100.2/32"),
        "{lo}"
    );

    let status = scene.follow(&[&[]]);
    assert!(status.all_withdrawn(), "{status:?}");
}

#[test]
fn what_an_earlier_daemon_announced_is_known_to_the_next_and_to_the_guard() {
    let scene = Scene::new();
    scene.follow(&[&["198.51.100.1"]]);
    let memory = remembered(scene.directory.path()).unwrap().unwrap();
    assert_eq!(memory.vips, vips(&["198.51.100.1"]));
    let withdrawn = scene.netns.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(withdraw_remembered(scene.directory.path()))
    });
    assert_eq!(withdrawn.unwrap(), vips(&["198.51.100.1"]));
    assert!(!scene.on_lo().contains("198.51.100.1"));
}

// Promise: B5
#[test]
fn an_operators_address_is_never_taken_away() {
    let scene = Scene::new();
    scene.netns.ip("addr add 198.51.100.1/32 dev lo");
    let status = scene.follow(&[&["198.51.100.1"]]);
    let error = status.error.unwrap();
    assert!(error.contains("without lbd having put it there"), "{error}");
    let status = scene.follow(&[&[]]);
    assert!(status.all_withdrawn(), "{status:?}");
    assert!(scene.on_lo().contains("198.51.100.1/32"));
}

#[tokio::test]
async fn a_speaker_that_is_not_there_is_an_error_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory {
        speaker: gobgp(),
        interface: "lo".into(),
        vips: vips(&["198.51.100.1"]),
    };
    remember(directory.path(), &memory).unwrap();
    let error = withdraw_remembered(directory.path()).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("list the announced VIPs: gobgp at 127.0.0.1:1: ")
            && said.contains("refused")
            && said.ends_with("is gobgpd running, with its gRPC interface there?"),
        "{said}"
    );
}

#[test]
fn a_damaged_memory_is_none() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("announced.json"), "{\"vips\":").unwrap();
    assert_eq!(remembered(directory.path()).unwrap(), None);
}
