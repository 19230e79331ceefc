//! What the user may do after a run.

use super::outcome::Outcome;
use super::state::RunState;
use crate::fleet::HostName;

/// A command line that names more hosts than this is not for reading.
const HOSTS_ON_A_LINE: usize = 6;

/// What to do next, most pressing first; nothing after a run that left nothing to do.
pub(super) fn steps(state: &RunState) -> Vec<String> {
    let with = |outcome| state.with_outcome(outcome);
    let mut steps = Vec::new();
    ask(&mut steps, &with(Outcome::Unknown), "status", "shows what really runs there");
    ask(&mut steps, &with(Outcome::Unreachable), "ping", "tells whether the connection is back");
    ask(&mut steps, &with(Outcome::Degraded), "status", "names the failed units");
    steps.extend(again(state));
    let waiting = with(Outcome::RebootNeeded);
    if !waiting.is_empty() {
        let hosts = if waiting.len() <= HOSTS_ON_A_LINE { spaced(&waiting) } else { "HOST..".to_owned() };
        steps.push(format!("`hubctl reboot {hosts}` when it suits: the rest takes effect with the next boot"));
    }
    let live = with(Outcome::Deployed);
    if state.goal == "boot" {
        ask(
            &mut steps,
            &live,
            "reboot",
            "brings it with a boot, and takes it back if it does not come up and the boot loader can",
        );
    }
    if state.goal == "test" {
        ask(&mut steps, &live, "deploy", "makes this the boot default too; without it, a reboot goes back");
    }
    steps
}

fn ask(steps: &mut Vec<String>, hosts: &[&HostName], command: &str, gain: &str) {
    if !hosts.is_empty() && hosts.len() <= HOSTS_ON_A_LINE {
        steps.push(format!("`hubctl {command} {}` {gain}", spaced(hosts)));
    }
}

/// How to do what this run left undone.
fn again(state: &RunState) -> Option<String> {
    let left_undone =
        |outcome: Outcome| !outcome.is_success() && !matches!(outcome, Outcome::Degraded | Outcome::Unknown);
    let hosts: Vec<&HostName> = state.finished().filter(|end| left_undone(end.outcome)).map(|end| &end.host).collect();
    if hosts.is_empty() {
        return None;
    }
    let is_plain = hosts.len() <= HOSTS_ON_A_LINE && state.goal == "switch" && state.wave.is_none();
    // Commands that are not named here, such as `rollback`, would do more than what is left when they are repeated.
    let command = match state.command.as_str() {
        "deploy-all" if is_plain => "deploy",
        "deploy" | "quick-deploy" if is_plain => state.command.as_str(),
        "deploy" | "quick-deploy" | "deploy-all" | "resume" => {
            return Some(
                "`hubctl resume` does what is left to do, with the same options and in the same waves".to_owned(),
            );
        }
        "test-all" if hosts.len() == 1 => "test-host",
        "test-host" if hosts.len() <= HOSTS_ON_A_LINE => "test-host",
        "test-host" | "test-all" => {
            return Some(
                "the same command again does what is left to do; hosts that are done stay as they are".to_owned(),
            );
        }
        _ => return None,
    };
    Some(format!("`hubctl {command} {}` does what is left to do", spaced(&hosts)))
}

fn spaced(hosts: &[&HostName]) -> String {
    hosts.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::event::StepName;
    use super::super::samples::{failed, finished, run};
    use super::*;

    #[test]
    fn a_run_that_left_nothing_to_do_proposes_nothing() {
        let ends = [finished("p620", Outcome::Unchanged), finished("p510", Outcome::Deployed)];
        assert_eq!(steps(&run(["p620", "p510"], ends)), [""; 0]);
    }

    #[test]
    fn each_kind_of_rest_has_its_next_step() {
        let state = run(
            ["p620", "p510", "razer", "samsung"],
            [
                failed("p620", Outcome::BuildFailed, StepName::Build, "no"),
                finished("p510", Outcome::Unreachable),
                finished("razer", Outcome::Unknown),
                finished("samsung", Outcome::RebootNeeded),
            ],
        );
        assert_eq!(
            steps(&state),
            [
                "`hubctl status razer` shows what really runs there",
                "`hubctl ping p510` tells whether the connection is back",
                "`hubctl quick-deploy p620 p510` does what is left to do",
                "`hubctl reboot samsung` when it suits: the rest takes effect with the next boot",
            ]
        );
    }

    #[test]
    fn commands_without_host_names_are_repeated_under_the_name_that_takes_them() {
        let mut state =
            run(["p620", "p510"], [finished("p620", Outcome::Skipped), finished("p510", Outcome::Deployed)]);
        state.command = "deploy-all".to_owned();
        assert_eq!(steps(&state), ["`hubctl deploy p620` does what is left to do"]);
        state.wave = Some((1, 2));
        assert!(steps(&state)[0].starts_with("`hubctl resume` does"));
        (state.wave, state.goal) = (None, "boot".to_owned());
        assert!(steps(&state)[0].starts_with("`hubctl resume` does"));
        assert!(steps(&state)[1].starts_with("`hubctl reboot p510` brings it"));
        state.command = "rollback".to_owned();
        state.goal = "switch".to_owned();
        assert_eq!(steps(&state), [""; 0]);
    }
}
