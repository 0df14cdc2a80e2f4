//! Times in RFC 3339 with a zone: parser and formatter.

use crate::timestamp::Timestamp;

const DAY: i64 = 86_400;

/// Reads `2026-11-20T18:30:12.481516Z`, or the same with an offset such as `+01:00`. Returns `None` for anything else: no
/// zone, more than six digits of a second, a day that does not exist.
pub fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return None;
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let [b'T' | b't', h1, h2, b':', i1, i2, b':', s1, s2, rest @ ..] = rest else {
        return None;
    };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*i1, *i2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, zone) = fraction(rest)?;
    let offset = offset(zone)?;
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp::from_micros(seconds * 1_000_000 + micros))
}

/// Renders a time in UTC; the fraction is omitted if it is zero.
pub fn text(at: Timestamp) -> String {
    let (seconds, micros) = (
        at.micros().div_euclid(1_000_000),
        at.micros().rem_euclid(1_000_000),
    );
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let time = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let mut text = String::with_capacity(27);
    digits(&mut text, year, 4);
    for (before, number) in [
        ('-', month),
        ('-', day),
        ('T', hour),
        (':', minute),
        (':', second),
    ] {
        text.push(before);
        digits(&mut text, number, 2);
    }
    if micros != 0 {
        text.push('.');
        digits(&mut text, micros, 6);
    }
    text.push('Z');
    text
}

/// Appends a number with at least `least` digits. Waiting recoveries render their deadline at each poll, and padding by
/// `format!` takes ten times as long.
fn digits(text: &mut String, number: i64, least: u32) {
    if !(0..10_i64.pow(least)).contains(&number) {
        text.push_str(&number.to_string());
        return;
    }
    for place in (0..least).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        text.push(u8::try_from(digit).map_or('0', |digit| char::from(b'0' + digit)));
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=6).contains(&count) {
        return None;
    }
    let (digits, zone) = rest.split_at_checked(count)?;
    let scale = (count..6).fold(1, |scale, _| scale * 10);
    Some((number(digits)? * scale, zone))
}

/// Returns the seconds east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days since 1970-01-01 in the Gregorian calendar. The year starts in March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns the date of a day; the inverse of [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-20T18:30:12.481516Z", Some(1_795_199_412_481_516)),
            ("2026-11-20T18:30:12.9Z", Some(1_795_199_412_900_000)),
            ("2026-11-20T19:30:12+01:00", Some(1_795_199_412_000_000)),
            ("2026-11-20T13:00:12-05:30", Some(1_795_199_412_000_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000)),
            ("1969-12-31T23:59:59.999999Z", Some(-1)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-11-31T00:00:00Z", None),
            ("2026-11-20T24:00:00Z", None),
            ("2026-11-20T18:30:60Z", None),
            ("2026-11-20T18:30:12", None),
            ("2026-11-20T18:30Z", None),
            ("2026-11-20 18:30:12Z", None),
            ("2026-11-20T18:30:12.Z", None),
            ("2026-11-20T18:30:12.1234567Z", None),
            ("2026-11-20T18:30:12+0100", None),
            ("2026-11-20T18:30:12+24:00", None),
            ("2026-11-20T18:30:12Z ", None),
            ("+026-11-20T18:30:12Z", None),
            ("2026-11-20T18:30:12\u{e9}", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).map(Timestamp::micros), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(parse(&text(at)), Some(at));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
