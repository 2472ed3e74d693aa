//! Random times, so that programs and tasks that began together do not go on in step.

use std::time::Duration;

/// A time from `least` to `most`.
pub fn between(least: Duration, most: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without random bytes it is `least`. The tasks then merely stay in step.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let part = f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX);
    least + most.saturating_sub(least).mul_f64(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spread_over_all_that_is_allowed() {
        let (least, most) = (Duration::from_secs(30), Duration::from_secs(60));
        let times: Vec<_> = (0..1000).map(|_| between(least, most)).collect();
        let within = |time: &Duration| (least..=most).contains(time);
        assert!(times.iter().all(within), "{times:?}");
        let early = times.iter().filter(|time| **time < most * 3 / 4).count();
        assert!((100..900).contains(&early), "{early}");
        assert_eq!(between(most, least), most);
    }
}
