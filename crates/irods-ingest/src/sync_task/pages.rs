//! The listing of a directory for a scan, page by page: the next is asked for while one is worked on.

use tokio::task::JoinHandle;

use super::task::relative_path;
use crate::context::JobContext;
use crate::core::choice::Targets;
use crate::error::SyncError;
use crate::plan::Operation;
use crate::source::{Listing, MountFacts, SourceError, s3};

/// Some of a directory's entries, in the order of their places.
pub(super) struct Page {
    /// Where the directory sits among the mounts.
    pub(super) mount: MountFacts,
    pub(super) listing: Listing,
    /// Its end, if more pages follow.
    pub(super) end: Option<s3::Mark>,
}

/// What is left of a listing.
pub(super) struct Pages<'a> {
    context: &'a JobContext,
    directory: &'a [u8],
    operation: Operation,
    state: State,
}

enum State {
    Begin(Option<s3::Mark>),
    Asked(JoinHandle<Result<Page, SyncError>>),
    End,
}

impl<'a> Pages<'a> {
    /// Those after a mark; without one, all.
    pub(super) fn new(
        context: &'a JobContext,
        directory: &'a [u8],
        operation: Operation,
        after: Option<s3::Mark>,
    ) -> Self {
        Pages {
            context,
            directory,
            operation,
            state: State::Begin(after),
        }
    }

    /// The next page.
    ///
    /// # Errors
    /// Nothing of what follows is known.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, SyncError> {
        let page = match std::mem::replace(&mut self.state, State::End) {
            State::End => return Ok(None),
            State::Begin(_) if is_whole(self.context) => {
                let (mount, mut listing) =
                    list(self.context, self.directory, self.operation).await?;
                let source = &self.context.source;
                listing
                    .entries
                    .sort_by(|a, b| source.place(a).cmp(&source.place(b)));
                Page {
                    mount,
                    listing,
                    end: None,
                }
            }
            State::Begin(after) => {
                page(self.context, (self.directory, self.operation), None, after).await?
            }
            State::Asked(page) => {
                let ended = |_| SyncError::Worker("a listing did not end".into());
                page.await.map_err(ended)??
            }
        };
        if let Some(end) = page.end.clone() {
            let (context, directory) = (self.context.clone(), self.directory.to_vec());
            let (operation, mount) = (self.operation, Some(page.mount));
            self.state = State::Asked(tokio::spawn(async move {
                self::page(&context, (&directory, operation), mount, Some(end)).await
            }));
        }
        Ok(Some(page))
    }
}

/// Whether entries can only be gone through together: two of them may get one target.
fn is_whole(context: &JobContext) -> bool {
    let targets = context.handler.chooses().map(|chooses| chooses.targets);
    match targets {
        None => false,
        Some(Targets::Own) => context.spec.options.compare_catalog,
        Some(Targets::Names | Targets::Anywhere) => true,
    }
}

/// Where the directory sits among the mounts, and what is in it: one trip to a thread that may block.
pub(super) async fn list(
    context: &JobContext,
    directory: &[u8],
    operation: Operation,
) -> Result<(MountFacts, Listing), SyncError> {
    let links = operation.links();
    let relative = relative_path(directory);
    context
        .at_source(move |source| {
            let mount = source.mount_facts(&relative)?;
            let listing = source.list(&relative, links)?;
            Ok::<_, SourceError>((mount, without_shortage(listing)?))
        })
        .await
}

/// `mount` is known from an earlier page.
async fn page(
    context: &JobContext,
    (directory, operation): (&[u8], Operation),
    mount: Option<MountFacts>,
    after: Option<s3::Mark>,
) -> Result<Page, SyncError> {
    let links = operation.links();
    let relative = relative_path(directory);
    context
        .at_source(move |source| {
            let mount = match mount {
                Some(mount) => mount,
                None => source.mount_facts(&relative)?,
            };
            let (listing, end) = source.page(&relative, links, after.as_ref())?;
            Ok::<_, SourceError>(Page {
                mount,
                listing: without_shortage(listing)?,
                end,
            })
        })
        .await
}

/// An entry is not charged with what would have hit any other.
fn without_shortage(mut listing: Listing) -> Result<Listing, SourceError> {
    let shortage = |(_, error): &(_, SourceError)| error.is_shortage();
    match listing.errors.iter().position(shortage) {
        Some(at) => Err(listing.errors.swap_remove(at).1),
        None => Ok(listing),
    }
}
