//! `hubctl why`.

use clap::Args;
use jiff::tz::TimeZone;
use serde_json::json;

use super::hub::{Hub, this_machine};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Known;
use crate::fleet::Host;
use crate::nix::Footprint;
use crate::plan::{Goal, Rule, Sought, decide};
use crate::remote::{Connect as _, Elevation};
use crate::report::units::{bytes, duration};
use crate::report::{Output, Style};
use crate::run::{reach, target_of};

/// Tells why a host was or would be evaluated, built and deployed, and what its evaluation was read from.
#[derive(Args, Debug)]
pub(super) struct WhyArgs {
    /// The host.
    #[arg(value_name = "HOST")]
    host: String,
    /// Lists the files that the evaluation read.
    #[arg(long)]
    files: bool,
    /// Leaves out what the host itself would have to be asked.
    #[arg(long)]
    offline: bool,
}

/// What there is to tell, as heading and text.
type Told = Vec<(&'static str, String)>;

pub(super) async fn run(hub: &Hub, args: WhyArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = hub.select(&fleet.inventory, std::slice::from_ref(&args.host))?;
    let [host] = hosts.as_slice() else {
        return Err(
            Error::message(Kind::Usage, format!("`{}` selects {} hosts", args.host, hosts.len())).hint("name one host")
        );
    };
    let known = evaluator.known(host.attribute(), &hub.cancel).await;
    let mut told = evaluation(&known);
    told.push(("built", built(&known)));
    if !args.offline {
        told.push(("deployed", deployed(hub, &fleet, host, &known).await?));
    }
    show(hub, host, &told, files(&known, args.files)).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn evaluation(known: &Known) -> Told {
    let mut told = Vec::new();
    if let Some(newest) = &known.newest {
        let made = newest.made.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
        let took = duration(std::time::Duration::from_millis(newest.cost.duration_ms));
        let peak = newest.cost.peak_kib.map(|kib| format!(", {} of memory", bytes(kib * 1024))).unwrap_or_default();
        told.push(("evaluated", format!("{made}, in {took}{peak}, because {}", newest.reason)));
        told.push((
            "depends on",
            match &newest.conditions.footprint {
                Footprint::Files(files) => format!("{} files, and what files there are", files.len()),
                Footprint::Everything(blind) => format!("the whole source: {blind}"),
            },
        ));
    }
    told.push((
        "now",
        match &known.holds {
            Ok(()) => "it holds: nothing that it was read from has changed".to_owned(),
            Err(reason) => format!("it is evaluated with the next run: {reason}"),
        },
    ));
    told
}

fn built(known: &Known) -> String {
    match &known.evaluation {
        None => "not known before it is evaluated".to_owned(),
        Some(evaluation) if evaluation.out.as_path().exists() => {
            format!("{} is in this machine's store", evaluation.out)
        }
        Some(evaluation) => {
            format!("{} is not in this machine's store, so it is built when it is needed", evaluation.out)
        }
    }
}

async fn deployed(hub: &Hub, fleet: &super::hub::Fleet, host: &Host, known: &Known) -> Result<String> {
    let connect = hub.connector(&fleet.config)?;
    let target = target_of(host, this_machine().as_deref());
    let (elevation, platform) = (Elevation::default(), host.kind.platform());
    let access = reach(connect.as_ref(), &target, elevation, platform, &hub.cancel).await;
    connect.close().await;
    Ok(match (access, &known.evaluation) {
        (Err(stop), _) => stop.failed.map_or_else(|| "stopped".to_owned(), |failed| failed.message),
        (Ok(_), None) => "not known before it is evaluated".to_owned(),
        (Ok(access), Some(evaluation)) => {
            let sought = Sought { toplevel: &evaluation.out, specialisation: host.specialisation.as_deref() };
            let decision = decide(Goal::Switch, Rule::IfChanged, sought, &access.facts);
            decision.reason.to_string()
        }
    })
}

fn files(known: &Known, wanted: bool) -> Vec<&str> {
    match known.newest.as_ref().map(|newest| &newest.conditions.footprint) {
        Some(Footprint::Files(files)) if wanted => files.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn show(hub: &Hub, host: &Host, told: &Told, files: Vec<&str>) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        let parts: serde_json::Map<_, _> =
            told.iter().map(|(key, text)| (key.replace(' ', "-"), json!(text))).collect();
        return hub.ui.data_json(&json!({ "host": host.name, "why": parts, "files": files }));
    }
    let palette = hub.ui.out();
    hub.ui.data(&palette.paint(Style::Host, host.name.as_str()))?;
    for (heading, text) in told {
        let heading = palette.paint(Style::Dim, &format!("{heading:<10}"));
        hub.ui.data(&format!("  {heading}  {text}"))?;
    }
    for file in files {
        hub.ui.data(&format!("    {file}"))?;
    }
    Ok(())
}
