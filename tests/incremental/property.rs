//! Random edits of generated fleets: after each of them, every host's answer is Nix's own.
//!
//! `HUBCTL_STEPS` sets how many edits are made in all, `HUBCTL_SEED` where the random choices begin.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hubctl::evaluate::Whence;

use crate::edit::Edit;
use crate::fleet::Shape;
use crate::random::Random;
use crate::world::{Answers, World};

/// How many edits are made unless the environment says it.
const STEPS: u64 = 240;

/// How many edits each fleet sees.
const EDITS: u64 = 12;

/// How many fleets are tried side by side.
const WORKERS: usize = 2;

#[test]
#[expect(clippy::print_stderr, reason = "how much was tried is worth knowing")]
fn after_each_edit_the_answer_is_that_of_nix() {
    let number = |key: &str| std::env::var(key).ok().map(|text| text.parse::<u64>().unwrap());
    let steps = number("HUBCTL_STEPS").unwrap_or(STEPS);
    let first = number("HUBCTL_SEED").unwrap_or(1);
    let next = AtomicU64::new(first);
    let end = first + steps.div_ceil(EDITS);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let of_fleet = try_fleet(seed);
                    tally.lock().unwrap().add(of_fleet);
                }
            });
        }
    });
    // Fleets that never evaluate, or never keep an answer, would prove nothing.
    let tally = tally.into_inner().unwrap();
    assert!(tally.kept > steps / 2 && tally.evaluated > steps / 2 && tally.failed < tally.kept, "{tally:?}");
    eprintln!("{tally:?}");
}

/// How hosts' answers were come by.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    kept: u64,
    evaluated: u64,
    failed: u64,
}

impl Tally {
    fn count(&mut self, answers: &Answers) {
        for whence in answers.whence.values() {
            match whence {
                Whence::Kept => self.kept += 1,
                Whence::Evaluated(_) => self.evaluated += 1,
            }
        }
        self.failed += u64::try_from(answers.errors.len()).unwrap();
    }

    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.evaluated += other.evaluated;
        self.failed += other.failed;
    }
}

#[expect(clippy::panic, reason = "this is how a test tells of what it found")]
fn try_fleet(seed: u64) -> Tally {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut random = Random::new(seed);
    let shape = Shape::random(&mut random);
    let mut edits: Vec<Vec<Edit>> = Vec::new();
    let mut tally = Tally::default();
    let found = runtime().block_on(async {
        let world = World::of(&shape).await;
        let mut wrong = check(&world, &mut tally).await;
        while wrong.is_none() && u64::try_from(edits.len()).unwrap() < EDITS {
            let step = Edit::random(&world, &mut random);
            for edit in &step {
                edit.apply(&world);
            }
            edits.push(step);
            wrong = check(&world, &mut tally).await;
        }
        wrong
    });
    let Some(found) = found else { return tally };
    let (edits, found) = shorten(edits, found, |edits| runtime().block_on(replay(&shape, edits)));
    panic!("seed {seed}, {shape:#?}\nafter {edits:#?}\n{found}");
}

/// Leaves out every edit that the wrong answer does not need.
fn shorten(
    mut edits: Vec<Vec<Edit>>,
    mut found: String,
    try_again: impl Fn(&[Vec<Edit>]) -> Option<String>,
) -> (Vec<Vec<Edit>>, String) {
    for at in (0..edits.len()).rev() {
        let mut fewer = edits.clone();
        fewer.remove(at);
        if let Some(wrong) = try_again(&fewer) {
            (edits, found) = (fewer, wrong);
        }
    }
    (edits, found)
}

async fn replay(shape: &Shape, edits: &[Vec<Edit>]) -> Option<String> {
    let world = World::of(shape).await;
    let mut tally = Tally::default();
    let mut wrong = check(&world, &mut tally).await;
    for step in edits {
        if wrong.is_some() {
            break;
        }
        for edit in step {
            edit.apply(&world);
        }
        wrong = check(&world, &mut tally).await;
    }
    wrong
}

/// What is wrong with hubctl's answers, if anything.
async fn check(world: &World, tally: &mut Tally) -> Option<String> {
    let ours = world.ours().await;
    tally.count(&ours);
    let theirs = world.theirs();
    if ours.systems == theirs {
        return None;
    }
    Some(format!("hubctl says {ours:#?}\nNix says {theirs:#?}"))
}
