//! Packets as rows: a frame in, the verdict, the exact bytes out, and what was counted.
//!
//! The programs are those that the real `lbd` loaded and pinned, run by the kernel on single frames
//! (`BPF_PROG_TEST_RUN`). The kernel takes no frame shorter than an Ethernet header; those lengths
//! are tried on the same decision in user space.

mod agent;
mod agreement;
mod alternates;
mod by_source;
mod clamp;
mod congestion;
mod connections;
mod counts;
mod decap;
mod decap_refusals;
mod delivery;
mod directory;
mod echo;
mod edge;
mod edge_lengths;
mod edge_model;
mod edge_policy;
mod edge_ways;
mod egress_tags;
mod encapsulation;
mod errors;
mod extensions;
mod fragments;
mod frame;
mod hand_on;
mod handshakes;
mod jumbo;
mod known_flows;
mod members;
mod moves;
mod mutation;
mod oracle;
mod outer;
mod outer_source;
mod rounds;
mod row;
mod run;
mod second_chance;
mod sockets;
mod tags;
mod tally;
mod too_large;
mod truncation;
