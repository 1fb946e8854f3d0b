//! Writing on a thread of its own, so that unpacking and the disk do not wait for each other.
//!
//! Pieces go through a short bounded queue: memory stays small, and progress runs ahead of the disk by a few megabytes at most. An error
//! of the writer comes back from the next write or from the flush, which ends the thread.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Pieces between the two threads. A piece has at most a megabyte; eight of them bridge the time of two disk requests.
const PIECES_IN_FLIGHT: usize = 8;

/// A writer in front of a thread that writes.
#[derive(Debug)]
pub struct Pipeline {
    sender: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Pipeline {
    /// Starts a thread that writes to `writer` and flushes it at the end.
    ///
    /// # Errors
    /// When no thread can be made.
    pub fn new(mut writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel::<Vec<u8>>(PIECES_IN_FLIGHT);
        let thread = std::thread::Builder::new().name("disk-writer".into()).spawn(move || {
            for piece in receiver {
                writer.write_all(&piece)?;
            }
            writer.flush()
        })?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Closes the queue and waits for the thread; its error is the answer.
    fn finish(&mut self) -> io::Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the writing thread panicked")),
        }
    }
}

impl Write for Pipeline {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(data.to_vec()).is_ok());
        if sent {
            return Ok(data.len());
        }
        // The thread ended before its time: why stands in its result.
        self.finish()?;
        Err(io::Error::new(io::ErrorKind::BrokenPipe, "the writing thread has ended"))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.finish()
    }
}

impl Drop for Pipeline {
    /// A write that was given up leaves no thread behind that still touches the disk.
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::debug!(%error, "a write that was given up failed as well");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Disk {
        bytes: Arc<Mutex<Vec<u8>>>,
        full_at: Option<usize>,
        flushed: Arc<Mutex<bool>>,
    }

    impl Write for Disk {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let mut bytes = self.bytes.lock().unwrap();
            if self.full_at.is_some_and(|full| bytes.len() + data.len() > full) {
                return Err(io::Error::other("critical medium error"));
            }
            bytes.extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            *self.flushed.lock().unwrap() = true;
            Ok(())
        }
    }

    #[test]
    fn everything_arrives_in_order_and_is_flushed() {
        let disk = Disk::default();
        let mut pipeline = Pipeline::new(disk.clone()).unwrap();
        for piece in 0..100u8 {
            pipeline.write_all(&[piece; 1000]).unwrap();
        }
        pipeline.flush().unwrap();
        let wanted: Vec<u8> = (0..100u8).flat_map(|piece| [piece; 1000]).collect();
        assert_eq!(*disk.bytes.lock().unwrap(), wanted);
        assert!(*disk.flushed.lock().unwrap());
    }

    #[test]
    fn the_disks_own_error_comes_back() {
        let disk = Disk { full_at: Some(5000), ..Disk::default() };
        let mut pipeline = Pipeline::new(disk).unwrap();
        let error = (0..100).find_map(|_| pipeline.write_all(&[0; 1000]).err()).unwrap();
        assert_eq!(error.to_string(), "critical medium error");
    }

    #[test]
    fn an_error_at_the_very_end_comes_back_from_the_flush() {
        let mut pipeline = Pipeline::new(Disk { full_at: Some(500), ..Disk::default() }).unwrap();
        // The queue takes the piece before the thread has failed on it.
        let written = pipeline.write_all(&[0; 1000]);
        let error = written.and_then(|()| pipeline.flush()).unwrap_err();
        assert_eq!(error.to_string(), "critical medium error");
    }
}
