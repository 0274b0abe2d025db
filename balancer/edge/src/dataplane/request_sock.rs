//! Where this kernel keeps what a SYN-ACK said: from its own type information (BTF).

/// Where the kernel's type information is.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// The offset of `snt_isn` in `struct tcp_request_sock`, bytes; 0 when the kernel does not tell. Without it an agent takes
/// every request socket for one that knows the flow.
pub(super) fn snt_isn() -> u32 {
    std::fs::read(VMLINUX)
        .ok()
        .and_then(|btf| member(&btf, "tcp_request_sock", "snt_isn"))
        .unwrap_or(0)
}

/// The byte offset of a struct's member, in raw BTF of this machine's byte order (Documentation/bpf/btf.rst).
fn member(btf: &[u8], structure: &str, name: &str) -> Option<u32> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(btf.get(at..at + 4)?.try_into().ok()?))
    };
    let [header_length, types, types_length, strings] =
        [word(4)?, word(8)?, word(12)?, word(16)?].map(|word| word as usize);
    let is = |at: u32, text: &str| {
        let start = header_length + strings + at as usize;
        btf.get(start..start + text.len()) == Some(text.as_bytes())
            && btf.get(start + text.len()) == Some(&0)
    };
    let mut at = header_length + types;
    let end = at + types_length;
    while at < end {
        let (type_name, info) = (word(at)?, word(at + 4)?);
        let (count, kind) = ((info & 0xffff) as usize, info >> 24 & 0x1f);
        at += 12;
        if kind == 4 && is(type_name, structure) {
            let mut members = (0..count).map(|index| at + index * 12);
            let found = members.find(|&at| word(at).is_some_and(|member| is(member, name)))?;
            // Of a struct with bit fields, the offset has 24 bits.
            let bits = match info >> 31 {
                0 => word(found + 8)?,
                _ => word(found + 8)? & 0x00ff_ffff,
            };
            return Some(bits / 8);
        }
        at += match kind {
            // Integer, variable, declaration tag; array; structure, union, section, 64-bit enumeration; enumeration, prototype.
            1 | 14 | 17 => 4,
            3 => 12,
            4 | 5 | 15 | 19 => count * 12,
            6 | 13 => count * 8,
            _ => 0,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `struct list_head`, which never changes.
    #[test]
    fn members_are_found_in_the_kernels_own_types() {
        let btf = std::fs::read(VMLINUX).expect("this kernel has type information");
        assert_eq!(member(&btf, "list_head", "next"), Some(0));
        assert_eq!(member(&btf, "list_head", "prev"), Some(8));
        assert_eq!(member(&btf, "list_head", "nonsense"), None);
        assert_eq!(member(&btf, "nonsense", "next"), None);
        let offset = snt_isn();
        assert!(offset > 100 && offset.is_multiple_of(4), "{offset}");
    }

    #[test]
    fn type_information_that_is_cut_off_tells_nothing() {
        let btf = std::fs::read(VMLINUX).expect("this kernel has type information");
        for length in (0..40).chain([1_000, 10_000]) {
            assert_eq!(member(&btf[..length], "tcp_request_sock", "snt_isn"), None);
        }
    }
}
