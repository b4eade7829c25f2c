//! A real PostgreSQL, one for all tests: on a socket of its own in a directory of its own. It ends with this process,
//! however that ends. Each test has a database of its own.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

thread_local! {
    static WANTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test of SQLite's once more: what it starts has its state in PostgreSQL.
pub fn on_postgres(test: fn()) {
    WANTED.set(true);
    test();
}

/// Whether this test is one that wants PostgreSQL.
#[must_use]
pub fn is_wanted() -> bool {
    WANTED.get()
}

/// A server with its directory.
pub struct Server {
    directory: TempDir,
    /// Of its socket, and of its address where it listens on one.
    pub port: u16,
    guard: Option<std::process::Child>,
    /// Blocks of 512 bytes that a file may have, if there is a limit.
    limit: Option<u32>,
}

impl Server {
    /// The one that tests share.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Server::start(&[]))
    }

    /// One of a test's own, which may be stopped, filled and broken.
    pub fn start(settings: &[&str]) -> Self {
        Self::limited(settings, None)
    }

    /// One whose files can't grow beyond so many blocks of 512 bytes.
    pub fn limited(settings: &[&str], limit: Option<u32>) -> Self {
        let mut server = Self { directory: tempfile::tempdir().unwrap(), port: 5432, guard: None, limit };
        let made = Command::new(program("initdb"))
            .args(["--wal-segsize=1", "--no-sync", "--no-locale", "-E", "UTF8", "-A", "trust", "-U", "elevate", "-D"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.resume(settings);
        server
    }

    /// Its own files.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Where its socket is.
    pub fn socket(&self) -> &Path {
        self.directory.path()
    }

    /// Starts it again, after [`Server::stop`].
    pub fn resume(&mut self, settings: &[&str]) {
        // It is stopped when the pipe closes, which the kernel does for whoever holds its other end.
        let script = "[ -z \"$limit\" ] || ulimit -f $limit; \"$@\" & server=$!; read -r never; kill -s \"${never:-QUIT}\" $server; wait $server; \
                      [ -n \"$never\" ] || rm -rf \"$directory\"";
        let mut command = Command::new("sh");
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        command.env("directory", self.directory.path()).env("limit", limit);
        command.args(["-c", script, "sh", &program("postgres"), "-D"]).arg(self.data()).arg("-k").arg(self.socket());
        command.args([
            "-p",
            &self.port.to_string(),
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=200",
            "-c",
            "shared_buffers=32MB",
        ]);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let child = command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.guard = Some(child);
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.psql("postgres", "SELECT 1").status.success() {
            let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a failing machine does (`QUIT`), or after the statements under way (`INT`).
    pub fn stop(&mut self, signal: &str) {
        use std::io::Write as _;
        let mut guard = self.guard.take().unwrap();
        writeln!(guard.stdin.take().unwrap(), "{signal}").unwrap();
        guard.wait().unwrap();
    }

    /// Signals every process of it.
    pub fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().to_owned();
        let below = Command::new("pgrep").args(["-P", &pid]).output().unwrap();
        let below = String::from_utf8(below.stdout).unwrap();
        let done = Command::new("kill").args(["-s", signal, &pid]).args(below.lines()).status().unwrap();
        assert!(done.success());
    }

    /// What its settings forbid, whoever tends it may do.
    fn psql(&self, database: &str, statement: &str) -> std::process::Output {
        Command::new(program("psql"))
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "elevate", "-d", database, "-c"])
            .args(["SET default_transaction_read_only = off", "-c", statement, "-h"])
            .arg(self.socket())
            .args(["-p", &self.port.to_string()])
            .output()
            .unwrap()
    }

    /// Whether statements can be run as the database's owner.
    pub fn can(&self, database: &str, statement: &str) -> bool {
        self.psql(database, statement).status.success()
    }

    /// Runs statements as the database's owner; what they print.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let done = self.psql(database, statement);
        assert!(done.status.success(), "{statement}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// An empty database; its name.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        name
    }

    /// What the runbook says of backup and restore, from one database to another.
    pub fn move_by_dump(&self, from: &str, to: &str) {
        let file = self.directory.path().join(format!("{from}.dump"));
        for (tool, words) in [
            ("pg_dump", ["--format=custom", "--no-unlogged-table-data", &format!("--file={}", file.display()), from]),
            ("pg_restore", ["--clean", "--if-exists", &format!("--dbname={to}"), file.to_str().unwrap()]),
        ] {
            let mut command = Command::new(program(tool));
            let done = command.args(words).args(["-U", "elevate", "-h"]).arg(self.socket()).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }

    /// How `authority.toml` names a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://elevate@localhost:{}/{database}?host={}", self.port, self.socket().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.guard.is_some() {
            self.stop("INT");
        }
    }
}

/// The line of `authority.toml` for a new database of the shared server.
#[must_use]
pub fn store_line() -> String {
    let server = Server::shared();
    format!("store = \"{}\"\n", server.url(&server.database()))
}

/// Debian keeps what only servers need off the path.
fn program(name: &str) -> String {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|version| version.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found
        .pop()
        .unwrap_or_else(|| panic!("PostgreSQL is not installed: apt-get install postgresql"))
        .display()
        .to_string()
}

macro_rules! once_more {
    ($($module:ident { $($test:ident)* })*) => {$(
        mod $module {
            $(#[test]
            fn $test() {
                super::on_postgres(crate::$module::$test);
            })*
        }
    )*};
}

once_more! {
    administration {
        a_key_of_somebody_elses_is_removed_with_a_proof_of_the_administrators_own
        a_resource_that_is_declared_on_one_node_is_known_to_every_node_within_a_second
        a_sign_in_that_an_administrator_ends_is_over_on_every_node_at_once
        only_administrators_hear_who_was_recovered
        what_is_no_resource_is_not_declared_and_the_file_wins
        whoever_does_not_administer_ends_removes_and_declares_nothing
    }
    sign_in {
        a_code_is_for_who_asked_for_it
        a_device_is_refused_is_too_late_or_is_another
        a_device_without_a_browser_is_signed_in_by_another
        a_person_may_refuse
        a_session_ends_when_it_is_not_used_and_when_it_is_old
        each_step_is_taken_once
        signing_out_ends_the_session_and_its_grants_but_no_others
        what_ends_on_one_node_has_ended_on_the_other
        who_is_shut_out_loses_sessions_and_grants_at_once
        who_signs_in_is_known_by_the_providers_sub
    }
    audit_faults {
        a_grant_that_is_not_recorded_is_not_issued
        a_stepped_up_grant_that_is_not_recorded_is_not_issued
        a_step_up_that_is_not_kept_is_not_begun
        a_denial_that_is_not_recorded_is_not_told
        a_failed_step_up_that_is_not_recorded_is_not_told
        a_first_request_whose_user_is_not_recorded_is_refused
        an_enrolment_that_is_not_recorded_is_not_confirmed
        an_operation_that_is_not_recorded_is_not_confirmed
        a_rotation_whose_outcome_is_unknown_leaves_tokens_that_verify
        a_revocation_that_is_not_recorded_is_not_confirmed
        rules_that_are_not_recorded_decide_nothing
        writes_that_fail_one_after_the_other
        when_a_shared_write_fails_everybody_in_it_is_told
        an_entry_that_is_no_entry_any_more_is_named
        a_removed_entry_is_named
        swapped_entries_are_named
        a_changed_private_part_is_named
        an_erased_private_part_is_no_fault
        a_changed_hash_is_named
        a_removed_hash_does_not_hide_the_log
        a_changed_hash_inside_the_tree_stops_the_authority
        an_entry_rewritten_with_its_hash_is_caught_by_the_checkpoints
        an_entry_nobody_signed_is_named_and_stops_the_authority
        a_dropped_last_checkpoint_is_found_and_stops_the_authority
        a_truncated_log_is_found_and_stops_the_authority
        a_log_without_any_checkpoint_stops_the_authority
        a_checkpoint_of_another_key_stops_the_authority
        a_log_rolled_back_whole_is_found_by_whoever_saw_it
        a_receipt_convinces_of_its_own_entry_only
    }
    risk {
        a_second_device_takes_one_touch_and_the_prompt_says_why
        another_network_takes_a_touch_and_is_known_then
        a_burst_takes_a_touch_until_it_is_over
        what_happens_at_once_is_counted_whole
        without_history_nobody_gets_in
        what_is_not_recorded_is_not_remembered
    }
    elevation {
        low_risk_is_granted_in_one_exchange
        a_sensitive_resource_takes_a_touch
        a_denial_names_its_policy_and_is_in_the_log
        a_challenge_dies_after_two_minutes
        a_failed_answer_ends_the_challenge
        three_failures_make_the_next_request_take_a_touch
        twenty_answers_at_once_are_one_grant
        a_revoked_token_is_inactive
        a_grant_ends_at_its_time
        a_disabled_user_gets_nothing_and_loses_what_there_is
        an_administrator_shuts_a_user_out_and_lets_them_in_again
        jwks_hold_public_keys_only_and_keep_retired_ones
        the_catalogue_shows_what_the_caller_may_ask_for
        every_grant_comes_with_a_receipt_and_the_log_only_grows
        grants_at_once_share_a_checkpoint_and_each_has_its_receipt
        secrets_go_where_secrets_belong
        an_operation_is_carried_out_once_and_only_as_it_was_approved
        an_operation_raced_is_carried_out_once
        administration_is_for_administrators
        the_first_key_is_free_and_the_next_one_is_vouched_for
        a_key_has_a_name_of_its_own_and_is_enrolled_once
        two_first_keys_at_once_are_one
        an_enrolment_is_finished_once_in_time_by_who_began_it
        a_good_change_of_the_rules_is_taken_up_and_recorded
        a_clock_that_went_back_lets_nobody_in_until_it_is_accepted
        times_in_the_log_never_go_back
    }
}
