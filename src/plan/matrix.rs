//! How hosts are shared out over the jobs of a CI: each job builds for one system, and all take about as long.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::fleet::HostName;

/// What is taken for the cost of a host that nothing is known of and nothing can be compared to, in milliseconds.
const UNKNOWN: u64 = 60_000;

/// A host that is to be built.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share {
    /// The host.
    pub host: HostName,
    /// The Nix system that it is built for.
    pub system: String,
    /// How long evaluating and building it took the last time, in milliseconds, as far as that is known.
    pub cost: Option<u64>,
}

/// One job of a CI.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CiJob {
    /// Its number, from 1 on.
    pub job: usize,
    /// Its hosts, in the order of their names.
    pub hosts: Vec<HostName>,
    /// The Nix system of all of them.
    pub system: String,
    /// How long it takes as far as is known, in milliseconds.
    pub cost: u64,
}

/// Shares hosts out over `jobs` jobs, or over one for each system where those are more. None is empty, so there may be fewer.
pub fn share_out(shares: &[Share], jobs: usize) -> Vec<CiJob> {
    let known: Vec<u64> = shares.iter().filter_map(|share| share.cost).collect();
    // A host of which nothing is known is one like the others.
    let unknown = known.iter().sum::<u64>().checked_div(known.len() as u64).unwrap_or(UNKNOWN);
    let mut by_system = BTreeMap::<&str, Vec<(u64, &HostName)>>::new();
    for share in shares {
        // Starting a job is never free, so that no host is.
        let cost = share.cost.unwrap_or(unknown).max(1);
        by_system.entry(&share.system).or_default().push((cost, &share.host));
    }
    let counts = jobs_of(&by_system, jobs);
    let split = by_system.into_iter().zip(counts);
    let all = split.flat_map(|((system, hosts), count)| balanced(system, hosts, count));
    (1..).zip(all).map(|(job, one)| CiJob { job, ..one }).collect()
}

/// How many jobs each system gets: one, and each further one goes where jobs are longest.
fn jobs_of(by_system: &BTreeMap<&str, Vec<(u64, &HostName)>>, jobs: usize) -> Vec<usize> {
    let hosts: Vec<_> = by_system.values().collect();
    let mut counts = vec![1; hosts.len()];
    for _ in hosts.len()..jobs {
        let total = |i: usize| hosts[i].iter().map(|(cost, _)| cost).sum::<u64>();
        let roomy = (0..hosts.len()).filter(|i| counts[*i] < hosts[*i].len());
        let Some(longest) = roomy.max_by_key(|i| (total(*i) / counts[*i] as u64, Reverse(*i))) else { break };
        counts[longest] += 1;
    }
    counts
}

/// The hosts of one system in `count` jobs: the costliest first, each into the job that has least to do.
fn balanced(system: &str, mut hosts: Vec<(u64, &HostName)>, count: usize) -> Vec<CiJob> {
    let empty = CiJob { job: 0, hosts: Vec::new(), system: system.to_owned(), cost: 0 };
    let mut jobs = vec![empty; count];
    hosts.sort_by_key(|(cost, host)| (Reverse(*cost), *host));
    for (cost, host) in hosts {
        if let Some(job) = jobs.iter_mut().min_by_key(|job| job.cost) {
            job.cost += cost;
            job.hosts.push(host.clone());
        }
    }
    for job in &mut jobs {
        job.hosts.sort();
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(host: &str, system: &str, cost: Option<u64>) -> Share {
        Share { host: host.parse().unwrap(), system: system.to_owned(), cost }
    }

    fn shown(shares: &[Share], jobs: usize) -> Vec<String> {
        let shown = |job: CiJob| {
            let hosts: Vec<_> = job.hosts.iter().map(HostName::as_str).collect();
            format!("{} {}: {}", job.job, job.system, hosts.join(" "))
        };
        share_out(shares, jobs).into_iter().map(shown).collect()
    }

    #[test]
    fn jobs_take_about_as_long_as_each_other() {
        let costs = [("a", 50), ("b", 40), ("c", 30), ("d", 30), ("e", 10), ("f", 0)];
        let shares: Vec<_> = costs.iter().map(|(host, cost)| share(host, "x86", Some(*cost))).collect();
        assert_eq!(shown(&shares, 2), ["1 x86: a d f", "2 x86: b c e"]);
        assert_eq!(shown(&shares, 1), ["1 x86: a b c d e f"]);
        assert_eq!(shown(&shares, 99).len(), 6);
        assert_eq!(shown(&[], 4), [""; 0]);
    }

    #[test]
    fn a_job_is_for_one_system_and_the_longest_get_more() {
        let shares = [
            share("a", "arm", Some(10)),
            share("b", "x86", Some(100)),
            share("c", "x86", Some(100)),
            share("d", "x86", Some(1)),
        ];
        assert_eq!(shown(&shares, 1), ["1 arm: a", "2 x86: b c d"]);
        assert_eq!(shown(&shares, 3), ["1 arm: a", "2 x86: b d", "3 x86: c"]);
    }

    #[test]
    fn a_host_that_nothing_is_known_of_is_like_the_others() {
        let shares = [
            share("a", "x86", Some(10)),
            share("b", "x86", Some(30)),
            share("new", "x86", None),
            share("z", "x86", Some(20)),
        ];
        assert_eq!(shown(&shares, 2), ["1 x86: a b", "2 x86: new z"]);
    }

    proptest::proptest! {
        #[test]
        fn every_host_is_in_one_job_and_no_job_is_empty(
            costs in proptest::collection::vec((0_u8..3, proptest::option::of(0_u64..100)), 0..40),
            jobs in 0_usize..12,
        ) {
            let shares: Vec<_> = costs.iter().enumerate()
                .map(|(i, (system, cost))| share(&format!("h{i:02}"), &format!("s{system}"), *cost)).collect();
            let split = share_out(&shares, jobs);
            let systems: std::collections::BTreeSet<_> = shares.iter().map(|share| &share.system).collect();
            proptest::prop_assert!(split.len() <= jobs.max(systems.len()));
            proptest::prop_assert!(split.iter().all(|job| !job.hosts.is_empty()));
            for share in &shares {
                let found: Vec<_> = split.iter().filter(|job| job.hosts.contains(&share.host)).collect();
                proptest::prop_assert_eq!(found.len(), 1);
                proptest::prop_assert_eq!(&found[0].system, &share.system);
            }
        }
    }
}
