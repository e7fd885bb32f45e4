//! Longer help texts.

pub const ABOUT: &str = "Keep a collection in an iRODS zone in step with a directory tree";

pub const LONG_ABOUT: &str = "\
Keep a collection in an iRODS zone in step with a directory tree.

A job scans the tree, finds what is new or changed since the last time, and registers it in place
(no byte moves) or uploads it. What fails is listed, never lost; a job that is interrupted goes on
where it was.";

pub const EXAMPLES: &str = "\
Examples:
  Try it, with a zone of its own in ./demo-zone:
    irods_sync start ./landing /tempZone/home/rods/landing --embedded_zone demo-zone \\
        --synchronous --progress
  Upload into the zone that your irods_environment.json names, and look what went wrong:
    irods_sync start /data/run7 /archive/home/me/run7 --operation PUT_SYNC \\
        --job_name run7 --synchronous
    irods_sync failures run7
  Queue a job, and have workers do it:
    irods_sync start /data/run7 /archive/home/me/run7 --job_name run7
    irods_sync worker --concurrency 8
    irods_sync watch run7

Exit codes: 0 done; 1 ended, but some files failed; 2 wrong usage, unknown job, name in use:
nothing was touched; 3 could not run or had to give up; 4 the job was stopped; 130 Ctrl-C.
Flags may be written with hyphens too: --job-name.";

pub const START_EXAMPLES: &str = "\
Examples:
  irods_sync start ./landing /tempZone/home/rods/landing --embedded_zone demo-zone \\
      --synchronous --progress
  irods_sync start /data /archive/home/me/data --operation PUT_SYNC \\
      --exclude_file_name '.*\\.tmp$' '.*/core$'
  irods_sync start /landing /archive/landing --interval 60 --job_name landing

Everything is checked before anything is queued. An unfinished job of the same source, target and
options that no live process runs is gone on with.";

pub const PLAN_EXAMPLES: &str = "\
Examples:
  irods_sync plan /data /archive/home/me/data --operation PUT_SYNC --delete_mode TRASH
  irods_sync plan /data /archive/home/me/data --json | jq -r 'select(.what == \"delete\").target'

Each entry that would not be skipped is printed with what would be done; then the totals that the
job would end with. No job is queued, nothing is remembered, nothing in the zone changes.";

pub const VERIFY_EXAMPLES: &str = "\
What is compared, by operation:
  REGISTER_SYNC, REGISTER_AS_REPLICA_SYNC: a good replica under the physical path, with the size and time of the file
  PUT_SYNC: a good replica of the file's size, not older than the file; PUT_APPEND: of its size; PUT: a good replica
  --checksum: every byte as well, read from both sides, and the stored checksum
Where entries may be put anywhere, what the zone has besides is not looked for.

Examples:
  irods_sync verify /data /archive/home/me/data
  irods_sync verify /data /archive/home/me/data --operation PUT_SYNC --checksum
  irods_sync verify /data /archive/home/me/data --job_file job.toml --json

Exit codes: 0 the same; 1 they differ; 2 wrong usage; 3 could not be compared.";

pub const WORKER_EXAMPLES: &str = "\
Examples:
  irods_sync worker --concurrency 8
  irods_sync worker --concurrency 32 --max_connections 16 --max_rate 100MiB
  irods_sync worker -Q large,path --name bigmem1
  irods_sync worker --embedded_zone demo-zone";

pub const ZONE_EXAMPLES: &str = "\
Examples:
  irods_sync zone demo-zone
  irods_sync zone demo-zone --listen 127.0.0.1:1247 --zone_password_file secret.txt
  irods_sync zone demo-zone --tls

Any iRODS client connects with IRODS_ENVIRONMENT_FILE=DIR/irods_environment.json. Ctrl-C or SIGTERM ends it.";
