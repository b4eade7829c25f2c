//! The authority: its files, whether it answers and is the one this device trusts, its clock, its version.

use super::{Enrolled, Finding, Here, reached};
use crate::client::address::Address;
use crate::client::authority_api::AuthorityApi;
use crate::client::embedded;
use crate::client::error::Error;
use crate::client::patience::{self, Patience, until_there};
use crate::client::trust::Trust;
use crate::clock::{Clock, human};
use crate::protocol::display::escaped;
use jiff::Timestamp;
use serde::Deserialize;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// Seconds by which clocks may differ: proofs are good for a minute on either side.
const SKEW_MAX: u64 = 30;

/// What `elevate-authority check-config` says.
#[derive(Deserialize)]
struct Checked {
    resources: usize,
    policies: usize,
    digest: String,
}

/// The embedded authority's files, as it sees them itself; nothing where another one is asked, or there is none.
pub fn rules(here: &Here) -> Option<Finding> {
    const NAME: &str = "rules";
    let Here { places, config, authority: Address::Embedded } = here else { return None };
    let mut command = Command::new(embedded::startable(places, config).ok()?);
    command.arg("check-config").arg("--config").arg(&places.config);
    let checked = match output(&mut command) {
        Ok(output) if output.status.success() => {
            let good = Finding::good(NAME, "authority.toml, policy.cedar and schema.cedarschema are good");
            return Some(match serde_json::from_slice::<Checked>(&output.stdout) {
                Ok(Checked { resources, policies, digest }) => good.with(vec![
                    format!(
                        "policies: {policies}, in {}",
                        escaped(&places.config.join("policy.cedar").to_string_lossy())
                    ),
                    format!("resources: {resources}, digest {}", escaped(&digest)),
                ]),
                // One of another version.
                Err(_) => good,
            });
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).replace("elevate-authority: ", ""),
        Err(error) => format!("they can't be checked: {error}"),
    };
    Some(Finding::bad(NAME, Error::failed(checked.trim()).hint("a running authority keeps to its last good rules")))
}

/// What a program says; ended where it says nothing in time.
fn output(command: &mut Command) -> std::io::Result<Output> {
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let status = ended(&mut child);
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let status = status?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    // What fits into a pipe: nothing it says is longer.
    child.stdout.take().map_or(Ok(0), |from| from.take(64 << 10).read_to_end(&mut stdout))?;
    child.stderr.take().map_or(Ok(0), |from| from.take(64 << 10).read_to_end(&mut stderr))?;
    Ok(Output { status, stdout, stderr })
}

fn ended(child: &mut Child) -> std::io::Result<ExitStatus> {
    let silent = || {
        let seconds = patience::CHECK.as_secs();
        std::io::Error::other(format!("elevate-authority did not end within {seconds} seconds"))
    };
    until_there(patience::CHECK, || child.try_wait())?.ok_or_else(silent)
}

/// Whether it runs, answers and is the one that is trusted; then which keys are enrolled, and how its clock goes.
pub fn authority(here: &Here) -> (Vec<Finding>, Enrolled) {
    const NAME: &str = "authority";
    let Here { places, config, authority } = here;
    if *authority != Address::Embedded {
        return reached::authority(here);
    }
    let look = || {
        let trusted = trusted(&Trust::of(places, authority))?;
        if embedded::running(places, Patience::Nobody)?.is_none() {
            embedded::startable(places, config)?;
            let good = Finding::good(NAME, "it does not run now, and starts when it is needed");
            return Ok((vec![good.with(trusted)], None));
        }
        if trusted.is_empty() {
            return Ok((vec![Finding::good(NAME, "it runs; this device has not used it yet")], None));
        }
        let clock = Clock::system();
        let api = AuthorityApi::connect(authority, places, config, clock.clone(), Patience::Nobody)?;
        let keys = api.keys()?;
        let mut findings = vec![Finding::good(NAME, "it runs and answers").with(trusted)];
        findings.extend(api.transport().date().map(|date| skew(date, clock.now())));
        Ok((findings, Some(keys)))
    };
    look().unwrap_or_else(|error: Error| (vec![Finding::bad(NAME, error)], None))
}

/// Which one is trusted, and since when; nothing before first contact.
fn trusted(trust: &Trust) -> Result<Vec<String>, Error> {
    let Some(known) = trust.known()? else { return Ok(Vec::new()) };
    let since = trust.since().map_or_else(String::new, |since| format!(", trusted since {since}"));
    Ok(vec![format!("{}{since}", known.issuer)])
}

pub fn skew(theirs: Timestamp, ours: Timestamp) -> Finding {
    const NAME: &str = "clock";
    let seconds = theirs.as_second() - ours.as_second();
    let apart = human(seconds.unsigned_abs());
    if seconds.unsigned_abs() < SKEW_MAX {
        return Finding::good(NAME, format!("it is {apart} from the authority's"));
    }
    let how = if seconds > 0 { "behind" } else { "ahead of" };
    Finding::bad(
        NAME,
        Error::failed(format!("it is {apart} {how} the authority's: proofs are refused"))
            .hint("set it, for example with: sudo timedatectl set-ntp true"),
    )
}

/// Both programs and the kernel. Two releases side by side are refused by nobody, and are nobody's wish.
pub fn versions(here: &Here) -> Finding {
    const NAME: &str = "versions";
    const OWN: &str = env!("CARGO_PKG_VERSION");
    let kernel = rustix::system::uname();
    let kernel = format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy());
    if here.authority != Address::Embedded {
        return Finding::good(
            NAME,
            format!("elevate is {OWN}, protocol {}, on {}", crate::protocol::VERSION, escaped(&kernel)),
        );
    }
    let of = |program: &Path| {
        let output = output(Command::new(program).arg("--version")).ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().strip_prefix("elevate-authority ")?.to_owned())
    };
    let theirs = match embedded::program(&here.config) {
        Ok(program) => of(&program),
        Err(error) => return Finding::bad(NAME, error),
    };
    match theirs.as_deref() {
        Some(OWN) => Finding::good(
            NAME,
            format!("both programs are {OWN}, protocol {}, on {}", crate::protocol::VERSION, escaped(&kernel)),
        ),
        Some(theirs) => Finding::bad(
            NAME,
            Error::failed(format!("elevate is {OWN}, elevate-authority {}", escaped(theirs)))
                .hint("install both from the same release"),
        ),
        None => Finding::bad(
            NAME,
            Error::failed("elevate-authority does not say its version").hint("install it from the same release"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::skew;
    use jiff::Timestamp;

    #[test]
    fn clocks_that_are_half_a_minute_apart_are_said_with_the_way_they_differ() {
        let ours = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| skew(Timestamp::from_second(1_800_000_000 + seconds).unwrap(), ours);
        for near in [-29, 0, 29] {
            assert!(at(near).ok, "{near}");
        }
        let (behind, ahead) = (at(30), at(-3600));
        assert!(!behind.ok && behind.hint.is_some());
        assert_eq!(behind.says, "it is 30s behind the authority's: proofs are refused");
        assert_eq!(ahead.says, "it is 1h ahead of the authority's: proofs are refused");
    }
}
