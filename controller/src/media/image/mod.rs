//! OS images: where they lie, how they come in, what is in them, and how the API shows them.
//!
//! [`import`] brings one in, [`store`] keeps the files, [`inspect`] looks inside. An image is kept once however often it
//! is imported, and is never changed.

mod error;
mod ext4;
mod filesystem;
mod gpt;
mod import;
mod importing;
mod inspect;
mod progress;
mod qcow2;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod unpack;

pub use self::error::ImageError;
pub use self::import::{NewImage, clear_leftovers, fetch, from_file, upload};
pub use self::record::{delete, list, show};
pub use self::store::ImageStore;

#[cfg(test)]
pub(crate) use self::gpt::tests as gpt_tests;
