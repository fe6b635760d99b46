//! The program from outside: arguments, files and signals in; text, exit codes and files out.

mod check;
mod doctor;
mod examples;
mod live;
mod log;
mod manual;
mod once;
mod plan;
mod program;
mod render;
mod report;
mod schema;
mod services;
mod signal;
mod split;
mod status;
mod systemd;
mod usage;
