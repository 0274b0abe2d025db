//! Amounts of CPU and memory, as Kubernetes writes them.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

/// What an amount of CPU looks like.
pub const CPU: &str = "an amount of CPU, such as \"1\", \"500m\" or \"0.5\"";

/// What an amount of memory looks like.
pub const MEMORY: &str =
    "an amount of memory, such as \"2Gi\", \"512Mi\", \"2G\" or a number of bytes";

/// The thousandths of a CPU that a text such as `1`, `500m` or `0.5` means; `None` if it is no such text, is not a
/// whole number of thousandths, is zero, or does not fit.
pub fn cpu_millis(text: &str) -> Option<u32> {
    let millis = match text.strip_suffix('m') {
        Some(number) => scaled(number, 1)?,
        None => scaled(text, 1_000)?,
    };
    u32::try_from(millis).ok().filter(|&millis| millis > 0)
}

/// The bytes that a text such as `2Gi`, `512Mi`, `2G` or `1073741824` means; `None` if it is no such text, is not a
/// whole number of bytes, is zero, or does not fit.
pub fn memory_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 11] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("", 1),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|&(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    scaled(number, unit).filter(|&bytes| bytes > 0)
}

/// A decimal number times a factor, if that is whole and fits.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // 18 digits behind the point keep their power of ten in 64 bits.
    if !digits(whole)
        || !digits(fraction)
        || whole.is_empty()
        || !(1..=18).contains(&fraction.len())
    {
        return None;
    }
    let ten = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor);
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    match parts % ten {
        0 => whole.checked_add(u64::try_from(parts / ten).ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_read_as_kubernetes_writes_it() {
        for (text, millis) in [
            ("1", Some(1_000)),
            ("500m", Some(500)),
            ("0.5", Some(500)),
            ("0.001", Some(1)),
            ("2.250", Some(2_250)),
            ("4294967", Some(4_294_967_000)),
            ("0", None),
            ("0m", None),
            ("0.0005", None),
            ("0.5m", None),
            ("4294968", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("1.", None),
            ("m", None),
            ("1 ", None),
            ("1.0000000000000000000", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(cpu_millis(text), millis, "{text:?}");
        }
    }

    #[test]
    fn memory_is_read_as_kubernetes_writes_it() {
        for (text, bytes) in [
            ("2Gi", Some(2 << 30)),
            ("512Mi", Some(512 << 20)),
            ("64Ki", Some(64 << 10)),
            ("2G", Some(2_000_000_000)),
            ("1.5Gi", Some(3 << 29)),
            ("0.5k", Some(500)),
            ("1073741824", Some(1 << 30)),
            ("15Pi", Some(15 << 50)),
            ("0", None),
            ("0Gi", None),
            ("1.5", None),
            ("2GB", None),
            ("2gi", None),
            ("Gi", None),
            ("", None),
            ("16384Pi", None),
            ("-1Gi", None),
        ] {
            assert_eq!(memory_bytes(text), bytes, "{text:?}");
        }
    }
}
