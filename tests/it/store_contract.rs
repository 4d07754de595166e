//! The laws that every backend of the store keeps. A law is a function of a fresh database, written once; `laws!` runs
//! it against each backend.
//!
//! Not responsible for what only one backend has (its schema, its file): that is tested beside the backend.

mod access;
mod administrators;
mod durability;
mod evaluation;
mod fixtures;
mod identity;
mod incidents;
mod merging;
mod model;
mod quarantine;
mod recording;
mod registry;
mod retention;
mod rollup;

use std::{path::Path, sync::Arc};

use classpulse::{
    store::{
        SharedStore,
        postgres::{PostgresOptions, PostgresStore},
        sqlite::SqliteStore,
    },
    tls::TlsOptions,
};
use tempfile::TempDir;

use crate::servers::postgres;

/// A database that nobody else uses.
enum Database {
    /// A file; it vanishes with this value.
    Sqlite(TempDir),
    /// Its URL in the cluster that the tests share.
    Postgres(String),
}

impl Database {
    fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    fn postgres() -> Self {
        Self::Postgres(postgres::shared().database())
    }

    /// An empty one of the same kind.
    fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(_) => Self::postgres(),
        }
    }

    /// A file's path or a URL: what another process needs to open it.
    fn name(&self) -> String {
        match self {
            Self::Sqlite(folder) => {
                let path = folder.path().join("classpulse.db");
                path.to_str().unwrap().to_owned()
            }
            Self::Postgres(url) => url.clone(),
        }
    }

    /// A further handle on the same database, as another process would have one.
    async fn open(&self) -> SharedStore {
        Self::open_by(&self.name()).await
    }

    async fn open_by(name: &str) -> SharedStore {
        if !name.starts_with("postgres:") {
            return Arc::new(SqliteStore::open(Path::new(name)).unwrap());
        }
        let options = PostgresOptions {
            url: name.to_owned(),
            password: None,
            tls: TlsOptions::default(),
            connections: 4,
        };
        Arc::new(PostgresStore::open(&options).await.unwrap())
    }
}

macro_rules! laws {
    ($($subject:ident: $($law:ident),+;)+) => {
        laws!(on_sqlite, sqlite: $($subject: $($law),+;)+);
        laws!(on_postgres, postgres: $($subject: $($law),+;)+);
    };
    ($backend:ident, $database:ident: $($subject:ident: $($law:ident),+;)+) => {
        mod $backend {
            $(mod $subject {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    let database = super::super::Database::$database();
                    super::super::$subject::$law(&database).await;
                })+
            })+
        }
    };
}

laws! {
    access:
        accounts_change_one_after_the_other,
        sessions_end,
        a_token_holds_until_it_is_taken_back,
        a_link_is_used_once,
        two_writers_make_one_chain,
        tampering_with_the_log_is_found,
        people_move_with_the_log;
    administrators:
        one_administrator_stays,
        the_first_administrator_is_one,
        two_at_once_change_one_account,
        one_set_up_link_sets_one_password,
        a_login_does_not_outlive_its_password;
    recording:
        a_change_stands_with_its_entry_only,
        what_changes_nothing_leaves_no_entry,
        a_change_cut_off_has_its_entry_or_is_absent,
        changes_of_two_writers_make_one_chain;
    merging:
        reports_in_any_order_and_number_give_the_same_minutes,
        two_writers_at_once_lose_nothing,
        minutes_read_back_as_written,
        later_contacts_win_whatever_the_order;
    registry:
        a_terminal_is_unknown_then_pending_then_registered,
        what_is_missing_is_named_and_nothing_half_done,
        a_history_that_contradicts_itself_is_refused,
        lists_are_sorted_filtered_and_paged,
        equal_service_spans_are_counted_together,
        every_change_raises_the_version;
    rollup:
        random_histories_add_up_like_brute_force,
        moving_a_terminal_moves_its_history,
        a_new_calendar_counts_anew,
        a_new_stage_counts_anew,
        without_a_calendar_nothing_counts_but_all_is_summed,
        marks_are_taken_oldest_first,
        all_may_be_marked_again,
        days_are_told_by_school_and_by_county;
    quarantine:
        the_same_mistake_is_one_entry,
        a_full_day_refuses_more,
        what_is_replayed_no_longer_waits;
    identity:
        twenty_at_once_spend_five_uses,
        known_hardware_finds_its_terminal_and_a_clone_does_not,
        hardware_of_two_terminals_is_told,
        a_code_that_does_not_hold_is_refused,
        identities_move_with_the_county,
        keys_change_and_only_the_one_that_was_used_holds,
        keys_change_all_or_none,
        a_school_may_be_renamed_and_keeps_its_codes;
    incidents:
        an_incident_is_told_once_and_a_flood_is_bounded,
        incidents_of_every_kind_are_kept,
        boots_that_take_turns_are_two_machines;
    retention:
        a_term_stays_until_its_evaluation_is_frozen,
        without_a_calendar_all_stays,
        sums_outlive_their_minutes,
        a_dirty_day_keeps_its_minutes;
    evaluation:
        twenty_at_once_create_one_run,
        what_a_run_refers_to_must_be_there,
        evidence_is_taken_whole_or_not_at_all,
        exclusions_are_a_persons_word,
        a_freeze_is_of_the_revision_that_was_read,
        a_frozen_run_refuses_every_change,
        parts_read_back_byte_for_byte,
        frozen_runs_are_out_of_reach,
        runs_move_with_the_county,
        an_import_adds_nothing_to_a_run_frozen_otherwise;
    durability:
        marks_survive_a_restart,
        a_commit_cut_off_is_whole_or_absent,
        a_killed_process_has_kept_all_that_it_was_told,
        committed_work_is_there_for_the_next_process,
        a_closed_store_says_so;
}
