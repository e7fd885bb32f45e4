//! The embedded zone: an iRODS-protocol server over an SQLite catalog and a vault directory.

pub mod catalog;
