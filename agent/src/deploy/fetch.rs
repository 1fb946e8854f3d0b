//! Fetching the image over HTTP, with resumption.
//!
//! A transfer that breaks is taken up where it stopped by a range request; only attempts that bring no byte count against the limit.
//! The bytes go through a bounded channel to a blocking [`Read`], so that a slow disk slows the download and memory stays small.
//! It neither unpacks nor checks: that is [`super::stream`].

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use helix_api::deploy::ImageSource;
use reqwest::StatusCode;
use tokio::sync::mpsc;

use super::failure::{Failure, chain};

/// Attempts without a single new byte before giving up. With the pauses below they span about two minutes: longer than a restart of
/// the controller or a spanning-tree convergence (30 to 50 s).
const ATTEMPTS_WITHOUT_PROGRESS: u32 = 10;

/// Pauses between attempts double from 1 s up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A server that sends nothing for this long is treated as gone. Disks of an image server wake up in about 10 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Chunks in flight between network and disk. Chunks are some 16 to 256 KiB, so this is a few megabytes.
const CHUNKS_IN_FLIGHT: usize = 32;

/// Tries of the question whether the file is there, before anything is wiped. With the pauses they span half a minute: the image server
/// is the controller, which has just answered, so what fails longer is an address or a firewall.
const ATTEMPTS_BEFORE_WIPE: u32 = 5;

/// Asks for the file's head: a node is not wiped for an image that cannot be had.
///
/// # Errors
/// `ImageUnreachable`, or `ImageTruncated` when the server's file is shorter than it should be.
pub async fn is_there(http: &reqwest::Client, image: &ImageSource) -> Result<(), Failure> {
    let mut attempt = 0u32;
    loop {
        attempt += 1;
        let reason = match tokio::time::timeout(IDLE_TIMEOUT, http.head(&image.url).send()).await {
            Ok(Ok(head)) if head.status().is_success() => {
                let length = head.headers().get(reqwest::header::CONTENT_LENGTH);
                let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
                return match length.filter(|length| *length < image.size_bytes) {
                    Some(received_bytes) => Err(short_file(image, received_bytes)),
                    None => Ok(()),
                };
            }
            Ok(Ok(head)) if head.status().is_client_error() => {
                attempt = ATTEMPTS_BEFORE_WIPE;
                format!("the server answered {}", head.status())
            }
            Ok(Ok(head)) => format!("the server answered {}", head.status()),
            Ok(Err(error)) => chain(&error.without_url()),
            Err(_) => format!("no answer within {} s", IDLE_TIMEOUT.as_secs()),
        };
        if attempt >= ATTEMPTS_BEFORE_WIPE {
            return Err(Failure::ImageUnreachable { name: image.name.clone(), url: image.url.clone(), reason });
        }
        tracing::warn!(image = image.name, reason, "the image server does not answer yet");
        tokio::time::sleep(Duration::from_secs(1 << attempt).min(LONGEST_PAUSE)).await;
    }
}

fn short_file(image: &ImageSource, received_bytes: u64) -> Failure {
    Failure::ImageTruncated {
        name: image.name.clone(),
        received_bytes,
        expected_bytes: image.size_bytes,
        of_what: "are all that the server has",
    }
}

/// The blocking end of a download.
#[derive(Debug)]
pub struct Download {
    receiver: mpsc::Receiver<Bytes>,
    chunk: Bytes,
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let length = self.chunk.len().min(into.len());
        self.chunk.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// Starts a download. The task ends when all bytes were handed over, when it gives up (the reader then sees an early end, and the
/// task's answer says why), or when the reader is dropped.
pub fn start(http: reqwest::Client, image: ImageSource) -> (Download, tokio::task::JoinHandle<Result<(), Failure>>) {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let task = tokio::spawn(async move { fetch(&http, &image, &sender).await });
    (Download { receiver, chunk: Bytes::new() }, task)
}

/// How one attempt ended.
enum Attempt {
    Complete,
    ReaderGone,
    /// The server says that the whole file has this many bytes, fewer than it should.
    Short(u64),
    /// The connection or the server failed; worth another attempt.
    Broken(String),
    /// The server will not give the file.
    Refused(String),
}

async fn fetch(http: &reqwest::Client, image: &ImageSource, sender: &mpsc::Sender<Bytes>) -> Result<(), Failure> {
    let mut received = 0u64;
    let mut fruitless = 0u32;
    let mut attempts = 0u32;
    loop {
        attempts += 1;
        let before = received;
        let broken = match attempt(http, image, sender, &mut received).await {
            Attempt::Complete | Attempt::ReaderGone => return Ok(()),
            Attempt::Short(bytes) => return Err(short_file(image, bytes)),
            Attempt::Refused(reason) => return Err(broken_transfer(image, attempts, received, reason)),
            Attempt::Broken(reason) => reason,
        };
        fruitless = if received > before { 0 } else { fruitless + 1 };
        tracing::warn!(
            image = image.name,
            received,
            attempts,
            reason = broken,
            "the image transfer broke; taking it up again"
        );
        if fruitless >= ATTEMPTS_WITHOUT_PROGRESS {
            return Err(broken_transfer(image, attempts, received, broken));
        }
        tokio::time::sleep(Duration::from_secs(1 << fruitless.min(4)).min(LONGEST_PAUSE)).await;
    }
}

fn broken_transfer(image: &ImageSource, attempts: u32, received_bytes: u64, last: String) -> Failure {
    Failure::ImageTransfer {
        name: image.name.clone(),
        url: image.url.clone(),
        attempts,
        received_bytes,
        size_bytes: image.size_bytes,
        last,
    }
}

async fn attempt(
    http: &reqwest::Client,
    image: &ImageSource,
    sender: &mpsc::Sender<Bytes>,
    received: &mut u64,
) -> Attempt {
    let mut request = http.get(&image.url);
    if *received > 0 {
        request = request.header(reqwest::header::RANGE, format!("bytes={received}-"));
    }
    let response = match tokio::time::timeout(IDLE_TIMEOUT, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Attempt::Broken(chain(&error.without_url())),
        Err(_) => return Attempt::Broken(format!("no answer within {} s", IDLE_TIMEOUT.as_secs())),
    };
    // A server that ignores the range begins again at the start; those bytes are skipped.
    let mut skip = match response.status() {
        StatusCode::PARTIAL_CONTENT => 0,
        StatusCode::OK => *received,
        status if status.is_client_error() => return Attempt::Refused(format!("the server answered {status}")),
        status => return Attempt::Broken(format!("the server answered {status}")),
    };
    let begins_at = *received - skip;
    let announced = response.content_length().map(|length| begins_at + length);
    if let Some(short) = announced.filter(|bytes| *bytes < image.size_bytes) {
        return Attempt::Short(short);
    }
    let mut body = response.bytes_stream();
    loop {
        let mut chunk = match tokio::time::timeout(IDLE_TIMEOUT, body.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => return Attempt::Broken(chain(&error.without_url())),
            Ok(None) => break,
            Err(_) => return Attempt::Broken(format!("no byte for {} s", IDLE_TIMEOUT.as_secs())),
        };
        let skipped = skip.min(chunk.len() as u64);
        chunk.advance(usize::try_from(skipped).unwrap_or(chunk.len()));
        skip -= skipped;
        if chunk.is_empty() {
            continue;
        }
        *received += chunk.len() as u64;
        if sender.send(chunk).await.is_err() {
            return Attempt::ReaderGone;
        }
    }
    if *received < image.size_bytes {
        return Attempt::Broken(format!("the connection ended after {received} of {} bytes", image.size_bytes));
    }
    Attempt::Complete
}
