//! Who wants to hear of each call as it ends: how long it took, and how. See [`crate::Pool::observed`].

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use irods_protocol::codes;
use tokio::time::Instant;

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// API number.
    pub api: i32,
    /// The logical path or name that it was about.
    pub subject: &'a str,
    /// When its sending began.
    pub began: Instant,
    /// There was no answer, or a negative one other than `CAT_NO_ROWS_FOUND`, which is how servers say that there is nothing.
    pub failed: bool,
}

/// Hears of calls. Every request that [`crate::CallCounts`] counts is told once, also one that is given up, and the calls of a login.
pub trait CallObserver: Debug + Send + Sync {
    /// A call has just ended.
    fn called(&self, call: Called<'_>);
}

/// A call under way, which is told of when this goes.
#[derive(Debug)]
pub(crate) struct Watched<'a>(Option<Watch<'a>>);

#[derive(Debug)]
struct Watch<'a> {
    observer: Arc<dyn CallObserver>,
    api: i32,
    subject: Cow<'a, str>,
    began: Instant,
    failed: bool,
}

impl<'a> Watched<'a> {
    pub(crate) fn begin(
        observer: Option<&Arc<dyn CallObserver>>,
        api: i32,
        subject: &'a str,
    ) -> Self {
        Watched(observer.map(|observer| Watch {
            observer: observer.clone(),
            api,
            subject: subject.into(),
            began: Instant::now(),
            failed: true,
        }))
    }

    /// The same, to be kept.
    pub(crate) fn into_owned(mut self) -> Watched<'static> {
        Watched(self.0.take().map(|watch| Watch {
            observer: watch.observer,
            api: watch.api,
            subject: watch.subject.into_owned().into(),
            began: watch.began,
            failed: watch.failed,
        }))
    }

    /// What was before this moment was not its own.
    pub(crate) fn began_after(&mut self, moment: Instant) {
        if let Some(watch) = &mut self.0 {
            watch.began = watch.began.max(moment);
        }
    }

    /// It has ended with an answer.
    pub(crate) fn answered(mut self, code: i32) {
        if let Some(watch) = &mut self.0 {
            watch.failed = code < 0 && code != codes::CAT_NO_ROWS_FOUND;
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some(watch) = &self.0 {
            watch.observer.called(Called {
                api: watch.api,
                subject: &watch.subject,
                began: watch.began,
                failed: watch.failed,
            });
        }
    }
}
