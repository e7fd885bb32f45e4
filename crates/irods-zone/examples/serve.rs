//! Serves the zone of a directory until Ctrl-C: `cargo run --example serve -- DIR [ADDRESS]`.

use irods_zone::{Zone, ZoneOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let mut options = ZoneOptions::new(arguments.next().ok_or("which directory?")?);
    options.listen = arguments
        .next()
        .map(|address| address.parse())
        .transpose()?;
    let zone = Zone::start(options).await?;
    println!("listening on {}", zone.address());
    println!(
        "IRODS_ENVIRONMENT_FILE={}",
        zone.environment_file().display()
    );
    tokio::signal::ctrl_c().await?;
    zone.stop().await;
    Ok(())
}
