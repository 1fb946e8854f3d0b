//! Reading resources and collections: one request where the service can expand, single reads where it cannot.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::ETAG;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::client::{Client, Expand};
use crate::error::RedfishError;
use crate::lenient::{self, BadField};
use crate::limits::PAGES;
use crate::message::Class;
use crate::odata::{Issue, Member, Page, Resource, natural};

/// The query that brings members along. Two levels are refused by every iDRAC.
const EXPAND: &str = "$expand=*($levels=1)";

/// A resource with what came with it.
#[derive(Debug, Clone)]
pub struct Read<T> {
    pub value: T,
    /// As sent, for the `If-Match` of a change.
    pub etag: Option<String>,
    /// Fields that could not be used.
    pub issues: Vec<Issue>,
}

/// Members that could be read, and what could not.
#[derive(Debug)]
pub struct Members<T> {
    pub members: Vec<T>,
    pub issues: Vec<Issue>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { members: Vec::new(), issues: Vec::new() }
    }
}

impl Client {
    /// Reads any resource into a type of the caller's.
    ///
    /// # Errors
    /// What a request can end with; `Unreadable` when the answer is no JSON object.
    pub async fn get<T: DeserializeOwned>(&self, uri: &str) -> Result<Read<T>, RedfishError> {
        self.read(uri).await
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, uri: &str) -> Result<Read<T>, RedfishError> {
        let answer = self.get_answer(uri, self.limits().get, true).await?;
        let header = answer.headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (value, fields) = lenient::parse(&answer.body).map_err(|source| self.unreadable(uri, source))?;
        Ok(Read { value, etag: header, issues: issues_of(uri, fields) })
    }

    fn unreadable(&self, uri: &str, source: serde_json::Error) -> RedfishError {
        RedfishError::Unreadable {
            address: self.address().clone(),
            uri: uri.to_owned(),
            why: "what it sends is not the JSON of such a resource".to_owned(),
            source: Some(source),
        }
    }

    /// The paths of a collection's members, all pages.
    pub(crate) async fn references(&self, uri: &str) -> Result<Vec<String>, RedfishError> {
        let mut found = Vec::new();
        let mut pages = Pages::new(uri.to_owned());
        while let Some(next) = pages.take() {
            let answer = self.get_answer(&next, self.limits().get, true).await?;
            let page: Page<'_> = serde_json::from_slice(&answer.body).map_err(|source| self.unreadable(uri, source))?;
            for raw in page.members.unwrap_or_default() {
                match Member::of(raw) {
                    Member::Reference(uri) => found.push(uri),
                    Member::Whole(raw) => {
                        found.extend(
                            serde_json::from_str::<crate::odata::Link>(raw.get())
                                .ok()
                                .and_then(|link| link.uri().map(str::to_owned)),
                        );
                    }
                    Member::Junk => {}
                }
            }
            pages.offer(page.next);
        }
        Ok(found)
    }

    /// All members of a collection, in the order in which people count.
    pub(crate) async fn members<T: Resource>(&self, uri: &str) -> Result<Members<T>, RedfishError> {
        self.members_within(uri, self.limits().get, None).await
    }

    /// The same with a deadline a page and, for logs, at most `limit` of them.
    pub(crate) async fn members_within<T: Resource>(
        &self,
        uri: &str,
        deadline: Duration,
        limit: Option<usize>,
    ) -> Result<Members<T>, RedfishError> {
        let first = self.first_page(uri, deadline).await?;
        let mut gathered = Gathered::<T>::default();
        let mut pages = Pages::new(uri.to_owned());
        pages.take();
        let mut body = first;
        loop {
            let next = gathered.take_page(uri, &body).map_err(|source| self.unreadable(uri, source))?;
            pages.offer(next);
            if limit.is_some_and(|limit| gathered.len() >= limit) {
                break;
            }
            let Some(next) = pages.take() else { break };
            body = self.get_answer(&next, deadline, true).await?.body;
        }
        if pages.cut {
            gathered.issues.push(Issue {
                uri: uri.to_owned(),
                field: None,
                message_id: None,
                what: "the pages of this collection go round in circles; what was read until then is kept".to_owned(),
            });
        }
        let members = self.complete(gathered, limit).await?;
        Ok(members)
    }

    /// The first page, expanded where that works. Whether it does is found out once for all collections.
    async fn first_page(&self, uri: &str, deadline: Duration) -> Result<Bytes, RedfishError> {
        let usable = self.expand() != Expand::Useless && self.root().await?.can_expand() && !uri.contains('?');
        if !usable {
            return Ok(self.get_answer(uri, deadline, true).await?.body);
        }
        match self.get_answer(&format!("{uri}?{EXPAND}"), deadline, true).await {
            Ok(answer) => {
                if self.expand() == Expand::Untried {
                    self.judge_expand(&answer.body);
                }
                Ok(answer.body)
            }
            Err(error) if self.expand() == Expand::Untried && is_about_the_query(&error) => {
                // Refused with the query: when it is there without it, the query was the reason.
                let body = self.get_answer(uri, deadline, true).await?.body;
                self.set_expand(Expand::Useless);
                Ok(body)
            }
            // A single collection that cannot expand: the Dell ones, with their members inline, need not.
            Err(error) if is_about_the_query(&error) && !error.is_missing() => {
                Ok(self.get_answer(uri, deadline, true).await?.body)
            }
            Err(error) => Err(error),
        }
    }

    /// The body of one resource, with what it links to where the service can expand.
    pub(crate) async fn expanded(&self, uri: &str) -> Result<Bytes, RedfishError> {
        if self.expand() == Expand::Works {
            match self.get_answer(&format!("{uri}?{EXPAND}"), self.limits().get, true).await {
                Ok(answer) => return Ok(answer.body),
                Err(error) if is_about_the_query(&error) && !error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.get_answer(uri, self.limits().get, true).await?.body)
    }

    fn judge_expand(&self, body: &[u8]) {
        let Ok(page) = serde_json::from_slice::<Page<'_>>(body) else { return };
        match page.members.as_deref().and_then(<[_]>::first).map(|raw| Member::of(raw)) {
            Some(Member::Whole(_)) => self.set_expand(Expand::Works),
            Some(Member::Reference(_)) => self.set_expand(Expand::Useless),
            _ => {}
        }
    }

    /// Reads what came as a reference only.
    async fn complete<T: Resource>(
        &self,
        gathered: Gathered<T>,
        limit: Option<usize>,
    ) -> Result<Members<T>, RedfishError> {
        let Gathered { mut whole, mut references, mut issues, .. } = gathered;
        if let Some(limit) = limit {
            whole.truncate(limit);
            references.truncate(limit.saturating_sub(whole.len()));
        }
        let reads = references.into_iter().map(|uri| async move {
            let read = self.read::<T>(&uri).await;
            (uri, read)
        });
        let mut reads = futures::stream::iter(reads).buffered(self.limits().in_flight.max(1));
        while let Some((uri, read)) = reads.next().await {
            match read {
                Ok(read) => {
                    issues.extend(read.issues);
                    whole.push(read.value);
                }
                Err(error) if error.ends_all() => return Err(error),
                Err(error) => issues.push(issue(&uri, &error)),
            }
        }
        if limit.is_none() {
            whole.sort_by(|a, b| natural(a.uri(), b.uri()));
        }
        Ok(Members { members: whole, issues })
    }

    /// Members that may have come inline within another resource, references and whole ones mixed.
    pub(crate) async fn inline<T: Resource>(&self, uri: &str, raws: &[&RawValue]) -> Result<Members<T>, RedfishError> {
        let mut gathered = Gathered::<T>::default();
        for raw in raws {
            gathered.take_member(uri, raw);
        }
        self.complete(gathered, None).await
    }
}

/// Whether an error may be the fault of the query: refused for good, and not because of who asks.
fn is_about_the_query(error: &RedfishError) -> bool {
    matches!(error.class(), Class::Permanent | Class::Licence) && error.status().is_some_and(|status| status >= 400)
        || error.status() == Some(501)
}

/// An error as a note beside what could be read.
pub(crate) fn issue(uri: &str, error: &RedfishError) -> Issue {
    let what = if error.is_missing() { "it is listed but does not exist".to_owned() } else { error.to_string() };
    Issue { uri: uri.to_owned(), field: None, message_id: error.message_id().map(str::to_owned), what }
}

pub(crate) fn issues_of(uri: &str, fields: Vec<BadField>) -> Vec<Issue> {
    fields
        .into_iter()
        .map(|field| Issue { uri: uri.to_owned(), field: Some(field.path), message_id: None, what: field.why })
        .collect()
}

struct Gathered<T> {
    whole: Vec<T>,
    references: Vec<String>,
    seen: HashSet<String>,
    issues: Vec<Issue>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { whole: Vec::new(), references: Vec::new(), seen: HashSet::new(), issues: Vec::new() }
    }
}

impl<T: Resource> Gathered<T> {
    fn len(&self) -> usize {
        self.whole.len() + self.references.len()
    }

    fn take_page(&mut self, uri: &str, body: &[u8]) -> Result<Option<String>, serde_json::Error> {
        let page: Page<'_> = serde_json::from_slice(body)?;
        for raw in page.members.unwrap_or_default() {
            self.take_member(uri, raw);
        }
        Ok(page.next)
    }

    fn take_member(&mut self, collection: &str, raw: &RawValue) {
        match Member::of(raw) {
            Member::Whole(raw) => match lenient::parse::<T>(raw.get().as_bytes()) {
                Ok((value, fields)) => {
                    let uri = if value.uri().is_empty() { collection } else { value.uri() };
                    self.issues.extend(issues_of(uri, fields));
                    // Some firmware lists a device once per function.
                    if value.uri().is_empty() || self.seen.insert(value.uri().to_owned()) {
                        self.whole.push(value);
                    }
                }
                Err(error) => self.junk(collection, &error.to_string()),
            },
            Member::Reference(uri) => {
                if self.seen.insert(uri.clone()) {
                    self.references.push(uri);
                }
            }
            Member::Junk => self.junk(collection, "a member is neither a resource nor a link to one"),
        }
    }

    fn junk(&mut self, collection: &str, what: &str) {
        let field = Some("Members".to_owned());
        self.issues.push(Issue { uri: collection.to_owned(), field, message_id: None, what: what.to_owned() });
    }
}

/// Goes from page to page, but to none twice.
struct Pages {
    next: Option<String>,
    seen: HashSet<String>,
    cut: bool,
}

impl Pages {
    fn new(first: String) -> Self {
        Self { next: Some(first), seen: HashSet::new(), cut: false }
    }

    fn take(&mut self) -> Option<String> {
        let next = self.next.take()?;
        if self.seen.len() >= PAGES || !self.seen.insert(next.clone()) {
            self.cut = true;
            return None;
        }
        Some(next)
    }

    fn offer(&mut self, next: Option<String>) {
        self.next = next;
    }
}
