//! Moments as JavaScript writes them.

use crate::time::{EpochMillis, EpochSeconds};

/// A moment as `Date.prototype.toISOString` writes it (RFC 3339, UTC).
#[must_use]
pub(super) fn iso(at: EpochSeconds) -> String {
    let (days, second) = (at.0.div_euclid(86_400), at.0.rem_euclid(86_400));
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}

/// The reverse of [`iso`], with milliseconds; `None` for any other text.
#[must_use]
#[allow(clippy::cast_precision_loss)] // the year has four digits
pub(super) fn parse_iso(text: &str) -> Option<EpochMillis> {
    let shape = "dddd-dd-ddTdd:dd:dd.dddZ";
    let fits = |(byte, form): (u8, u8)| match form {
        b'd' => byte.is_ascii_digit(),
        form => byte == form,
    };
    if text.len() != shape.len() || !text.bytes().zip(shape.bytes()).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // As above, days_from_civil.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let millis = (days * 86_400 + seconds) * 1000 + number(20, 23)?;
    Some(EpochMillis(millis as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_javascript_does() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(iso(EpochSeconds(seconds)), text);
        }
    }

    #[test]
    fn moments_are_read_as_javascript_writes_them() {
        for seconds in [
            0,
            -1,
            951_782_400,
            1_800_000_000,
            4_107_542_399,
            4_107_542_400,
        ] {
            let text = iso(EpochSeconds(seconds));
            let at = parse_iso(&text).map(EpochMillis::floor);
            assert_eq!(at, Some(EpochSeconds(seconds)), "{text}");
        }
        let fraction = parse_iso("2027-01-15T08:00:00.250Z");
        assert_eq!(fraction, Some(EpochMillis(1_800_000_000_250.0)));
        for other in [
            "",
            "2027-01-15",
            "2027-13-15T08:00:00.000Z",
            "2027-01-15T08:00:00.000+01",
        ] {
            assert_eq!(parse_iso(other), None);
        }
    }
}
