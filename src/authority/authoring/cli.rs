//! `elevate-authority policy`. Exit statuses: 0 nothing to say, 1 something, 2 files that can't be read.

use super::simulate::{Simulation, simulate};
use super::{check, diff};
use crate::authority::cases::{CASES, Table};
use crate::authority::rules::{Rules, RulesError};
use crate::authority::store::replay::Replay;
use crate::authority::store::{Place, StoreError};
use crate::clock::{Clock, before};
use crate::protocol::names::Ttl;
use clap::Subcommand;
use jiff::Timestamp;
use std::path::{Path, PathBuf};

/// What whoever writes policies can do with files alone.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Say what is wrong with a policy that loads: what decides nothing, what is named and not there, whom nobody reaches
    Check {
        /// Directory of authority.toml, policy.cedar and schema.cedarschema
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
        /// End with 1 where there is a warning
        #[arg(long)]
        strict: bool,
    },
    /// Say what two policies answer otherwise, first what the new one opens
    Diff {
        /// Directory of authority.toml, policy.cedar and schema.cedarschema as they were
        old: PathBuf,
        /// The same as they would be
        new: PathBuf,
    },
    /// Replay the log's decisions under new rules: which would be others, and how many more or fewer touches
    ///
    /// The log is only read, also while the authority runs.
    Simulate {
        /// Directory of authority.toml, policy.cedar and schema.cedarschema as they are
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
        /// Directory of the database; not needed where authority.toml names PostgreSQL
        #[arg(long, value_name = "DIR", conflicts_with = "backup")]
        data: Option<PathBuf>,
        /// A backup to read instead
        #[arg(long, value_name = "FILE")]
        backup: Option<PathBuf>,
        /// How far back, as 12h or 30d; everything, where it is not said
        #[arg(long, value_name = "TIME")]
        since: Option<Ttl>,
        /// Directory of the three files as they would be
        new: PathBuf,
    },
    /// Hold the policy to its table: which questions are answered otherwise
    Test {
        /// Directory of authority.toml, policy.cedar and schema.cedarschema
        #[arg(long, value_name = "DIR")]
        config: PathBuf,
        /// The table; policy.cases in that directory where none is named
        table: Option<PathBuf>,
    },
}

/// What is said, and whether it is that all is well.
pub struct Said {
    /// Lines for people.
    pub text: String,
    /// Whether there is nothing that a CI should stop for.
    pub is_well: bool,
}

/// Why nothing could be said.
pub struct Unread {
    /// Which file, which line, why.
    pub error: RulesError,
    /// The exit status.
    pub status: u8,
}

/// Does it.
///
/// # Errors
/// [`Unread`]: files that are no rules are what `check` and `test` look for, and what `diff` can't do without.
pub async fn run(verb: PolicyVerb) -> Result<Said, Unread> {
    match verb {
        PolicyVerb::Check { config, strict } => checked(&config, strict).map_err(|error| Unread { error, status: 1 }),
        PolicyVerb::Diff { old, new } => differing(&old, &new).map_err(|error| Unread { error, status: 2 }),
        PolicyVerb::Simulate { config, data, backup, since, new } => {
            let log = Log { data, backup, since };
            simulated(&config, &log, &new).await.map_err(|error| Unread { error, status: 2 })
        }
        PolicyVerb::Test { config, table } => {
            held_to(&config, &table.unwrap_or_else(|| config.join(CASES))).map_err(|error| Unread { error, status: 1 })
        }
    }
}

fn checked(config: &Path, strict: bool) -> Result<Said, RulesError> {
    let rules = Rules::load(config)?;
    let findings = check::check(config, &rules);
    Ok(Said { text: findings.text().to_owned(), is_well: !strict || findings.count == 0 })
}

fn differing(old: &Path, new: &Path) -> Result<Said, RulesError> {
    let (old, new) = (Rules::load(old)?, Rules::load(new)?);
    let difference = diff::difference(&old, &new);
    Ok(Said { text: difference.text().to_owned(), is_well: difference.count == 0 })
}

/// Which decisions are replayed.
struct Log {
    data: Option<PathBuf>,
    backup: Option<PathBuf>,
    since: Option<Ttl>,
}

async fn simulated(config: &Path, log: &Log, new: &Path) -> Result<Said, RulesError> {
    let (old, new) = (Rules::load(config)?, Rules::load(new)?);
    let place = match (&log.backup, &log.data, &old.config.store) {
        (Some(backup), _, _) => Place::File(backup.clone()),
        (None, data, Some(url)) => Place::of(data.as_deref().unwrap_or(config), Some(url)),
        (None, Some(data), None) => Place::of(data, None),
        (None, None, None) => {
            let says = "it names no PostgreSQL: say --data DIR, or --backup FILE";
            return Err(RulesError::at(&config.join("authority.toml"), None, says.to_owned()));
        }
    };
    let now = Clock::system().now();
    let since = log.since.map_or(Timestamp::MIN, |since| before(now, since.seconds()));
    let simulation = replayed(&place, since, &old, &new).await;
    let simulation = simulation.map_err(|error| match &place {
        Place::File(path) => RulesError::at(path, None, error.to_string()),
        Place::Postgres(_) => RulesError::at(&config.join("authority.toml"), None, error.to_string()),
    })?;
    Ok(Said { text: simulation.text(), is_well: simulation.count() == 0 })
}

async fn replayed(place: &Place, since: Timestamp, old: &Rules, new: &Rules) -> Result<Simulation, StoreError> {
    simulate(&mut Replay::open(place).await?, since, old, new).await
}

/// What is answered otherwise than a table has it.
fn held_to(config: &Path, table: &Path) -> Result<Said, RulesError> {
    let rules = Rules::load(config)?;
    let text = std::fs::read_to_string(table).map_err(|error| RulesError::at(table, None, error.to_string()))?;
    let cases = Table::parse(table, &text)?;
    let differences = cases.differences(&rules.policy, &rules.config);
    let mut lines: Vec<String> = differences
        .iter()
        .map(|difference| format!("{}:{}: {difference}", table.display(), difference.line()))
        .collect();
    let (all, wrong) = (cases.cases().len(), differences.len());
    lines.push(if wrong == 0 {
        format!("all {all} cases are answered as the table says")
    } else {
        format!("{wrong} of {all} cases are answered otherwise")
    });
    Ok(Said { text: lines.join("\n"), is_well: wrong == 0 })
}
