//! Why a packet met its fate: one numbering for counters, metrics, `lbctl` and the docs.

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to this host's own stack.
    Pass,
    /// It ends here.
    Drop,
    /// What the edge says to it goes back the way that it came.
    Answer,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, $verdict:ident;)*) => {
        /// Why a packet met its fate. Packets that the edge forwards are counted at their backend instead.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $variant = $number,)* }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name that people and metrics know it by.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What happens to a packet that meets this reason.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)* }
            }

            /// What it means, in a sentence.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    /// Neither IPv4 nor IPv6 follows the Ethernet header and at most two VLAN tags (ARP, a third tag).
    NotIp = 0, "not_ip", Pass;
    /// The destination is no VIP of this edge.
    NotForVip = 1, "not_for_vip", Pass;
    /// Too short to tell its destination address.
    ShortFrame = 2, "short_frame", Pass;
    /// For a VIP, but no service has this port and protocol.
    UndeclaredPort = 3, "undeclared_port", Drop;
    /// For a VIP, but what follows the IP header is none of TCP, UDP and an ICMP message that is handled.
    UnsupportedProtocol = 4, "unsupported_protocol", Drop;
    /// For a VIP, but a fragment whose first one, with the ports, has not come by here lately; or of an ICMP message.
    Fragment = 5, "fragment", Drop;
    /// For a VIP, but a header length is impossible (IP version or IHL, TCP data offset).
    BadHeaderLength = 6, "bad_header_length", Drop;
    /// For a VIP, but a length is shorter than the headers or longer than the frame, or its first buffer ends within them.
    BadTotalLength = 7, "bad_total_length", Drop;
    /// The slot has no owner: the service has no backend.
    NoBackend = 8, "no_backend", Drop;
    /// No route or neighbour is known to the backend.
    NoNextHop = 9, "no_next_hop", Drop;
    /// Larger than the next hop's MTU once encapsulated, and its sender was not told.
    TooLarge = 10, "too_large", Drop;
    /// The driver left no room in front of the frame for the outer header.
    NoHeadroom = 11, "no_headroom", Drop;
    /// The service's table is missing; should be 0.
    NoTable = 12, "no_table", Drop;
    /// An ICMP echo request to a VIP, which the edge has answered.
    EchoAnswered = 13, "echo_answered", Answer;
    /// An ICMP error to a VIP that quotes no TCP or UDP packet of the VIP.
    BadQuote = 14, "bad_quote", Drop;
    /// Larger than the next hop's MTU once encapsulated, and its sender was told by an ICMP message.
    ToldTooLarge = 15, "told_too_large", Answer;
    /// At the agent: taken out of its encapsulation.
    Decapsulated = 16, "decapsulated", Pass;
    /// At the agent: not one of our encapsulations.
    NotEncapsulated = 17, "not_encapsulated", Pass;
    /// At the agent: encapsulated by somebody who is no edge, nor a peer that hands on.
    SourceNotAllowed = 18, "source_not_allowed", Drop;
    /// At the agent: the outer header is a fragment, or its lengths are impossible.
    BadOuterHeader = 19, "bad_outer_header", Drop;
    /// At the agent: GUE of another variant, a control message, with flags, or with an impossible length.
    BadGueHeader = 20, "bad_gue_header", Drop;
    /// At the agent: the inner packet is not what the outer header says, or its lengths are impossible.
    BadInnerHeader = 21, "bad_inner_header", Drop;
    /// At the agent: the inner packet is for an address that is no VIP of the instance.
    InnerNotForVip = 22, "inner_not_for_vip", Drop;
    /// At the agent: a SYN-ACK's MSS was lowered to leave room for the outer header.
    MssClamped = 23, "mss_clamped", Pass;
    /// At the agent: no socket knows its flow, so it went on to the next alternate.
    HandedOn = 24, "handed_on", Pass;
    /// At the agent: no alternate knows its flow, so it went back to whoever should answer it.
    ReturnedHome = 25, "returned_home", Pass;
    /// At the agent: handed on by another backend, known here, and taken out of its encapsulation.
    SecondChance = 26, "second_chance", Pass;
    /// At the agent: taken out of its encapsulation though no socket knows its flow, for no alternate is left.
    NoAlternateLeft = 27, "no_alternate_left", Pass;
    /// At the agent: alternates that contradict themselves, or name the agent itself.
    BadAlternates = 28, "bad_alternates", Drop;
    /// At the agent: the fabric met congestion, and the sender of the inner packet understands no other sign.
    CongestionLost = 29, "congestion_lost", Drop;
}

/// Rows in a map of reason counters.
pub const ROWS: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    // Promise: E4
    #[test]
    fn numbers_fit_the_counter_rows_and_names_differ() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|&r| (r as u32) < ROWS));
    }

    // Promise: E4
    #[test]
    fn an_explanation_is_a_trimmed_sentence() {
        for reason in Reason::ALL {
            let text = reason.explanation();
            assert!(
                text == text.trim() && text.ends_with(['.', '0']),
                "{text:?}"
            );
        }
    }
}
