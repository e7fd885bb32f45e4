//! A catalog in memory for unit tests.
