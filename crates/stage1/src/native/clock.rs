//! Times as the console and the logs show them.

use rustix::time::{ClockId, clock_gettime};

/// The kernel's clock as dmesg(1) shows it.
pub fn kernel_time() -> String {
    let now = clock_gettime(ClockId::Monotonic);
    format!("[{:5}.{:06}]", now.tv_sec, now.tv_nsec / 1000)
}

/// The time of day in RFC 3339 with nanoseconds.
pub fn wall_time() -> String {
    let now = clock_gettime(ClockId::Realtime);
    let (year, month, day) = civil(now.tv_sec.div_euclid(86400));
    let second = now.tv_sec.rem_euclid(86400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", now.tv_nsec)
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Years begin in March, so that a leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }
}
