//! Counts in sentences.

use std::fmt::Display;

/// Renders a count, such as `1 host`, `2 hosts` or `0 hosts`.
///
/// ```
/// # use tachi_domain::count;
/// assert_eq!(count(1, "host", "hosts"), "1 host");
/// assert_eq!(count(0, "host is", "hosts are"), "0 hosts are");
/// ```
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let what = if number == N::from(1) { one } else { many };
    format!("{number} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        let rendered = [0, 1, 2, 21].map(|number| count(number, "host is", "hosts are"));
        assert_eq!(
            rendered,
            ["0 hosts are", "1 host is", "2 hosts are", "21 hosts are"]
        );
        assert_eq!(count(1_u64, "vmove", "vmoves"), "1 vmove");
        assert_eq!(count(1_usize, "recovery", "recoveries"), "1 recovery");
    }
}
