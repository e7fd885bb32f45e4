//! `zone`: what an embedded zone in the foreground is like.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::help;

/// `zone`.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(after_help = help::ZONE_EXAMPLES)]
pub struct ZoneArgs {
    /// Directory of the zone, made on first use
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen [default: loopback, on the port of the last time]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// File whose first line becomes the administrator's password [default: a random one, made on first use]
    #[arg(long, value_name = "FILE")]
    pub zone_password_file: Option<PathBuf>,
    /// Survive power loss too, not only a killed process; slower
    #[arg(long)]
    pub durable: bool,
    /// Encrypt.
    #[command(flatten)]
    pub tls: TlsFlags,
    /// Behave as badly as real servers and networks can, as this number has it: for tests of clients
    #[arg(long, value_name = "SEED", hide = true)]
    pub harsh: Option<u64>,
}

/// How a zone encrypts, and who gets in that way.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
#[command(next_help_heading = "TLS: connections are encrypted, and clients without are refused")]
pub struct TlsFlags {
    /// With a certificate that the zone makes for itself; DIR/irods_environment.json names the file that lets clients
    /// trust it
    #[arg(long)]
    pub tls: bool,
    /// With this certificate, followed by those that it was signed with (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Clients may also come without
    #[arg(long)]
    pub tls_optional: bool,
    /// Passwords for pam_password logins: lines USER:PASSWORD, or USER:HASH with a hash of 'openssl passwd -6'
    #[arg(long, value_name = "FILE")]
    pub pam_password_file: Option<PathBuf>,
}
