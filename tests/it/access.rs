//! People: accounts and the audit log from the command line, logins, and what every role may do, tried for real.

mod browser;
mod command_line;
mod grpc;
mod login;
mod pages;
mod people;
mod strangers;
mod tables;
