//! Rates as Kubernetes writes them in annotations: quantities such as `10M`.

use std::ops::RangeInclusive;

use super::error::Problem;

/// What suffixes multiply by. Decimal ones first, as Kubernetes lists them.
const SUFFIXES: [(&str, u128); 13] = [
    ("", 1),
    ("k", 1000),
    ("M", 1000_u128.pow(2)),
    ("G", 1000_u128.pow(3)),
    ("T", 1000_u128.pow(4)),
    ("P", 1000_u128.pow(5)),
    ("E", 1000_u128.pow(6)),
    ("Ki", 1024),
    ("Mi", 1024_u128.pow(2)),
    ("Gi", 1024_u128.pow(3)),
    ("Ti", 1024_u128.pow(4)),
    ("Pi", 1024_u128.pow(5)),
    ("Ei", 1024_u128.pow(6)),
];

/// What Kubernetes takes as a bandwidth, in bits a second.
const REASONABLE: RangeInclusive<u128> = 1000..=1_000_000_000_000_000;

/// Digits that a number may have: more than a reasonable one needs.
const DIGITS: usize = 18;

const EXPECTED: &str = "bits a second from 1k to 1P, with or without one of k, M, G, T, P, Ki, Mi, Gi, Ti, such as 10M";

/// A quantity as bits a second, rounded up: `10M` is 10,000,000 and `1.5Ki` is 1,536.
pub fn bits_per_second(text: &str) -> Result<u64, Problem> {
    parse(text)
        .filter(|bits| REASONABLE.contains(bits))
        .and_then(|bits| u64::try_from(bits).ok())
        .ok_or_else(|| Problem::form(text, EXPECTED))
}

fn parse(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{part}");
    if digits.len() > DIGITS {
        return None;
    }
    let divisor = 10_u128.pow(u32::try_from(part.len()).ok()?);
    Some((digits.parse::<u128>().ok()? * factor(suffix)?).div_ceil(divisor))
}

/// What a suffix multiplies by: a word of the list, or an exponent such as `e6`.
fn factor(suffix: &str) -> Option<u128> {
    if let Some((_, factor)) = SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Some(*factor);
    }
    let exponent: u32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (exponent <= 18).then(|| 10_u128.pow(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for (text, bits) in [
            ("10M", 10_000_000),
            ("1k", 1000),
            ("1Ki", 1024),
            ("1.5Gi", 1_610_612_736),
            ("1000.1", 1001),
            ("2e6", 2_000_000),
            ("1E3", 1000),
            ("0.001E", 1_000_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
        ] {
            assert_eq!(bits_per_second(text), Ok(bits), "{text}");
        }
    }

    #[test]
    fn what_is_no_bandwidth_is_refused() {
        let long = "1".repeat(19);
        for bad in [
            "", "M", ".", "10 M", "10Mbit", "-1M", "1.0.0M", "1e", "1e19", "999", "2P", "1E", &long,
        ] {
            let error = bits_per_second(bad).expect_err(bad).to_string();
            assert!(
                error.contains("is not valid; expected bits a second from 1k to 1P"),
                "{error}"
            );
        }
    }
}
