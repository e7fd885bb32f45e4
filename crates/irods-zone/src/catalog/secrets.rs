//! Passwords at rest: reversible, since the login protocol needs the clear text, but not readable at
//! a glance. What protects them is the mode of the catalog file.
