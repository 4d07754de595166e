//! Which commands leave entries in the audit log. Every command has a row; a test compares them with the command line.
//!
//! Changes of what the store keeps are recorded by the store that commands work on (`access::guarded`), files that
//! commands write where they are written (`output::file`).

/// What a command leaves in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trail {
    /// Nothing: it changes and gives away nothing, or shows figures on the screen of whoever may read the database itself.
    Reads,
    /// Entries that begin so.
    Records(&'static [&'static str]),
}

use Trail::{Reads, Records};

/// Every command, as it is typed.
pub const COMMANDS: [(&str, Trail); 60] = [
    // What reaches a running service is recorded there.
    ("serve", Reads),
    ("demo", Reads),
    ("import", Records(&["registry.change", "calendar.set"])),
    ("usage", Reads),
    ("score", Reads),
    ("rubric check", Reads),
    ("rubric show", Records(&["export"])),
    ("rubric import", Records(&["rubric.put"])),
    ("rubric list", Reads),
    ("runs create", Records(&["rubric.put", "run.create"])),
    ("runs list", Reads),
    ("runs show", Reads),
    ("runs inspect", Reads),
    ("runs explain", Reads),
    ("runs exclude", Records(&["exclusion.add"])),
    ("runs include", Records(&["exclusion.remove"])),
    ("runs exclusions", Reads),
    ("runs what-if", Reads),
    ("runs freeze", Records(&["run.freeze"])),
    ("runs verify", Reads),
    ("runs compare", Reads),
    ("runs export", Records(&["export"])),
    ("runs discard", Records(&["run.discard"])),
    ("evidence template", Records(&["export"])),
    ("evidence export", Records(&["export"])),
    ("evidence import", Records(&["evidence.put"])),
    ("evidence set", Records(&["evidence.put"])),
    ("evidence list", Reads),
    ("quarantine list", Reads),
    ("quarantine replay", Records(&["quarantine.replay"])),
    ("terminals pending", Reads),
    ("terminals approve", Records(&["registry.change"])),
    ("terminals codes create", Records(&["code.add"])),
    ("terminals codes list", Reads),
    ("terminals codes revoke", Records(&["code.revoke"])),
    ("terminals incidents", Reads),
    ("terminals keys list", Reads),
    ("terminals keys revoke", Records(&["key.revoke"])),
    ("terminals keys restore", Records(&["key.restore"])),
    ("terminals keys rotate", Records(&["key.renew"])),
    ("privacy", Reads),
    ("broker mosquitto", Records(&["export"])),
    // Works without a store: its files are the server's own.
    ("tls init", Reads),
    ("backup", Records(&["backup"])),
    ("restore", Records(&["restore"])),
    ("simulate", Reads),
    ("config check", Reads),
    ("users list", Reads),
    ("users add", Records(&["account.add", "account.link"])),
    ("users change", Records(&["account.change"])),
    ("users lock", Records(&["account.change"])),
    ("users unlock", Records(&["account.change"])),
    ("users reset", Records(&["account.reset", "account.link"])),
    ("users link", Records(&["account.link"])),
    ("tokens add", Records(&["token.add"])),
    ("tokens list", Reads),
    ("tokens revoke", Records(&["token.revoke"])),
    ("audit verify", Reads),
    ("audit list", Reads),
    ("audit export", Records(&["export"])),
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<String>) {
        let below: Vec<_> = command
            .get_subcommands()
            .filter(|one| one.get_name() != "help")
            .collect();
        if below.is_empty() {
            found.push(path.to_owned());
        }
        for one in below {
            let path = format!("{path} {}", one.get_name());
            leaves(one, path.trim_start(), found);
        }
    }

    #[test]
    fn every_command_is_said_to_read_or_is_recorded() {
        let mut typed = Vec::new();
        leaves(&crate::cli::args::Cli::command(), "", &mut typed);
        let mut rows: Vec<_> = COMMANDS
            .iter()
            .map(|(path, _)| (*path).to_owned())
            .collect();
        typed.sort();
        rows.sort();
        assert_eq!(typed, rows);
    }
}
