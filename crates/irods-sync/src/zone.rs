//! `zone`: an embedded zone in the foreground.

use std::path::Path;

use irods_zone::{Certificate, Harsh, TlsOptions, Zone, ZoneOptions};

use crate::args::{TlsFlags, ZoneArgs};
use crate::exit::{Exit, Failed, Result};
use crate::{signals, ui};

/// Serves a zone until a signal arrives.
///
/// # Errors
/// The zone does not start.
pub async fn handle_zone(args: ZoneArgs) -> Result<Exit> {
    let signals = signals::listen()?;
    let options = ZoneOptions {
        listen: args.listen,
        password_file: args.zone_password_file,
        durable: args.durable,
        tls: tls(&args.tls)?,
        pam_password_file: args.tls.pam_password_file,
        harsh: args.harsh.map(Harsh::from_seed),
        ..ZoneOptions::new(&args.dir)
    };
    let zone = Zone::start(options).await?;
    ui::say(&invitation(&zone, &args.dir));
    signals.any().await;
    ui::note("irods_sync: closing the zone");
    zone.stop().await;
    Ok(signals.exit_of_service())
}

/// Whether connections are encrypted, and with what.
///
/// # Errors
/// A flag that only makes sense with TLS, without it.
fn tls(flags: &TlsFlags) -> Result<Option<TlsOptions>> {
    let certificate = match (&flags.tls_certificate, &flags.tls_key) {
        (Some(chain), Some(key)) => Certificate::Files {
            chain: chain.clone(),
            key: key.clone(),
        },
        _ if flags.tls => Certificate::SelfMade,
        _ if flags.tls_optional => return Err(needs_tls("--tls_optional")),
        _ if flags.pam_password_file.is_some() => return Err(needs_tls("--pam_password_file")),
        _ => return Ok(None),
    };
    Ok(Some(TlsOptions {
        certificate,
        required: !flags.tls_optional,
    }))
}

fn needs_tls(flag: &str) -> Failed {
    Failed::usage(format!(
        "{flag} needs --tls, or --tls_certificate and --tls_key"
    ))
}

/// How to get in.
fn invitation(zone: &Zone, dir: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let (name, user) = (irods_zone::ZONE_NAME, irods_zone::ADMIN);
    let file = ui::shell_word(zone.environment_file().as_os_str().as_bytes());
    let dir = ui::shell_word(dir.as_os_str().as_bytes());
    format!(
        "zone {name} is open at {} as user {user}\n\
         \x20 any iRODS client  export IRODS_ENVIRONMENT_FILE={file}\n\
         \x20 then icommands    ils\n\
         \x20 or Python         iRODSSession(irods_env_file={:?})\n\
         \x20 or this program   irods_sync start SRC /{name}/home/{user}/NAME --embedded_zone {dir} --synchronous",
        zone.address(),
        zone.environment_file(),
    )
}
