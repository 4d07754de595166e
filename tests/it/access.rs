//! People: accounts and the audit log from the command line, logins, and what every role may do, tried for real.

mod command_line;
mod tables;
