//! Whether something that was measured several times is not what it was: by how much, and how sure that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// From which change on it counts, as a part of what it was.
const NOTABLE: f64 = 0.05;

/// How sure a change must be to be told as one.
const SURE: f64 = 0.95;

/// What is measured of a host, or of all of them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Evaluating the host afresh, in seconds.
    Evaluation,
    /// The most memory that this needs, in bytes.
    Memory,
    /// Finding out that nothing changed, in seconds.
    Cache,
    /// Having Nix build what is built already, in seconds.
    Build,
    /// The size of the system with all that it needs, in bytes.
    Closure,
    /// Evaluating all hosts at once, in seconds.
    FanOut,
}

/// What was measured, by host; that of all hosts under an empty name.
pub type Measured = BTreeMap<String, BTreeMap<Measure, Vec<f64>>>;

/// How something stands to what it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The median.
    pub median: f64,
    /// The median that it was; none where nothing is on record.
    pub was: Option<f64>,
    /// How sure it is that it is more, or less, than it was: from 0 to 1.
    pub confidence: f64,
    /// What to make of it.
    pub verdict: Judgement,
}

/// What to make of a measurement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// There is nothing to compare it with.
    New,
    /// No difference that could be told from chance, or none that matters.
    Same,
    /// It needs less than it did.
    Better,
    /// It needs more than it did.
    Worse,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Evaluation, Self::Memory, Self::Cache, Self::Build, Self::Closure, Self::FanOut];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Memory => "memory",
            Self::Cache => "cache",
            Self::Build => "build",
            Self::Closure => "closure",
            Self::FanOut => "fan-out",
        }
    }

    /// Whether it is in bytes, and in seconds otherwise.
    pub const fn is_bytes(self) -> bool {
        matches!(self, Self::Memory | Self::Closure)
    }

    /// Whether measuring it again gives the same.
    const fn is_exact(self) -> bool {
        matches!(self, Self::Closure)
    }
}

/// Holds what was measured now against what is on record. Of no measurement at all there is nothing to say.
pub fn compare(measure: Measure, now: &[f64], before: &[f64]) -> Option<Comparison> {
    let median = median(now)?;
    let Some(was) = self::median(before) else {
        return Some(Comparison { median, was: None, confidence: 0.0, verdict: Judgement::New });
    };
    let is_more = median > was;
    let confidence = match (measure.is_exact(), is_more) {
        (true, _) => 1.0,
        (false, true) => 1.0 - chance_of_less(before, now),
        (false, false) => 1.0 - chance_of_less(now, before),
    };
    let is_notable = (median - was).abs() > NOTABLE * was.abs();
    let verdict = match (is_notable && confidence >= SURE, is_more) {
        (false, _) => Judgement::Same,
        (true, true) => Judgement::Worse,
        (true, false) => Judgement::Better,
    };
    Some(Comparison { median, was: Some(was), confidence, verdict })
}

/// The middle one; of an even number, the mean of both.
fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[sorted.len() / 2 - 1], upper) })
}

/// How likely samples of one and the same thing fall at least so far apart as these, of which `less` are less: the exact test of
/// Mann and Whitney, one-sided. Ties count for neither side, which makes it the more careful.
fn chance_of_less(less: &[f64], more: &[f64]) -> f64 {
    let wins = less.iter().map(|a| more.iter().filter(|b| *b > a).count()).sum::<usize>();
    let ways = ways_to_win(less.len(), more.len());
    let all: f64 = ways.iter().sum();
    ways.iter().skip(wins).sum::<f64>() / all
}

/// In how many orders of `a` and `b` samples the second win each number of their comparisons.
fn ways_to_win(a: usize, b: usize) -> Vec<f64> {
    // By how many of each are placed: the greatest is one of the first, which wins nothing, or of the second, which beats all of them.
    let mut ways = vec![vec![vec![0.0; a * b + 1]; b + 1]; a + 1];
    for i in 0..=a {
        for j in 0..=b {
            for wins in 0..=i * j {
                ways[i][j][wins] = match (i, j) {
                    (0, _) | (_, 0) => f64::from(u8::from(wins == 0)),
                    _ => ways[i - 1][j][wins] + if wins >= i { ways[i][j - 1][wins - i] } else { 0.0 },
                };
            }
        }
    }
    ways.swap_remove(a).swap_remove(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_orders_are_those_of_the_tables() {
        // Of five and five samples there are 252 orders, of which one wins all and one wins all but one.
        let ways = ways_to_win(5, 5);
        assert!((ways.iter().sum::<f64>() - 252.0).abs() < 1e-9);
        assert_eq!((ways[25], ways[24], ways[23]), (1.0, 1.0, 2.0));
        // The critical value of the test for 5 and 5 at 5 %, one-sided: 4.
        let chance = |least: usize| ways.iter().skip(25 - least).sum::<f64>() / 252.0;
        assert!(chance(4) < 0.05 && chance(5) > 0.05);
    }

    #[test]
    fn what_is_sure_and_large_enough_is_told() {
        let five = [1.0, 1.1, 0.9, 1.05, 0.95];
        let scaled = |by: f64| five.map(|sample| sample * by);
        let verdict = |now: &[f64]| compare(Measure::Evaluation, now, &five).unwrap().verdict;
        assert_eq!(verdict(&scaled(1.5)), Judgement::Worse);
        assert_eq!(verdict(&scaled(0.6)), Judgement::Better);
        assert_eq!(verdict(&scaled(1.02)), Judgement::Same);
        // Two runs prove nothing.
        assert_eq!(verdict(&[1.5, 1.6]), Judgement::Worse);
        assert_eq!(compare(Measure::Evaluation, &[1.5, 1.6], &[1.0, 1.1]).unwrap().verdict, Judgement::Same);
        assert_eq!(compare(Measure::Evaluation, &five, &[]).unwrap().verdict, Judgement::New);
        assert_eq!(compare(Measure::Evaluation, &[], &five), None);
    }

    #[test]
    fn what_does_not_vary_needs_one_sample() {
        let verdict = |now: f64| compare(Measure::Closure, &[now], &[100.0]).unwrap().verdict;
        assert_eq!(
            (verdict(106.0), verdict(104.0), verdict(90.0)),
            (Judgement::Worse, Judgement::Same, Judgement::Better)
        );
    }

    proptest! {
        #[test]
        fn chances_are_chances(a in prop::collection::vec(0.0..10.0f64, 1..8), b in prop::collection::vec(0.0..10.0f64, 1..8)) {
            let chance = chance_of_less(&a, &b);
            prop_assert!((0.0..=1.0).contains(&chance));
            // What holds one way is unlikely the other way.
            prop_assert!(chance + chance_of_less(&b, &a) >= 1.0 - 1e-9);
        }
    }
}
