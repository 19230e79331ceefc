//! This machine as a target.

use async_trait::async_trait;
use secrecy::ExposeSecret as _;

use super::connection::{Connection, Executed, Lost, Password};
use crate::nix::StoreUri;
use crate::process::{Cancel, Cmd, End, Level, LineSink};

/// Runs commands on this machine.
#[derive(Clone, Copy, Debug)]
pub struct LocalConnection;

#[async_trait]
impl Connection for LocalConnection {
    async fn execute(
        &self,
        words: &[String],
        password: Option<&Password>,
        on_line: LineSink<'_>,
    ) -> Result<Executed, Lost> {
        let Some((program, args)) = words.split_first() else { return Ok(Executed::default()) };
        let stdin = password.map(|password| format!("{}\n", password.expose_secret()).into_bytes()).unwrap_or_default();
        // The layers above decide when a script may be left alone, so the first Ctrl-C is not this child's business.
        let cmd = Cmd::new(program).args(args).stdin(stdin).stop_at(Level::Hard);
        match cmd.lines(&Cancel::never(), on_line).await {
            Ok(output) => Ok(Executed { code: Some(0), stderr: output.stderr.join("\n") }),
            Err(failure) => match failure.end {
                End::Code(code) => Ok(Executed { code: Some(code), stderr: failure.stderr.join("\n") }),
                _ => Err(Lost(failure.to_string())),
            },
        }
    }

    fn store(&self) -> Option<StoreUri> {
        None
    }

    async fn discard(&self) {}
}
