//! Paths inside an installed system that is mounted somewhere else.
//!
//! An absolute symbolic link inside the image means a path of the *image*, not of the ramdisk. [`Inside`] resolves such links itself,
//! so that a file never lands outside the mounted root. It follows links in folders, and replaces a link that stands where a file is
//! to be written.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Links followed for one path before giving up; the kernel's own limit is 40.
const MOST_LINKS: u32 = 40;

/// The root folder of an installed system.
#[derive(Debug, Clone)]
pub struct Inside {
    root: PathBuf,
}

impl Inside {
    /// The system below this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a path of the installed system lies here, with links in its folders resolved. The last component is not followed.
    ///
    /// # Errors
    /// When links go round in a circle or cannot be read.
    pub fn resolve(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let mut left: Vec<PathBuf> = components(path.as_ref());
        let mut done = PathBuf::new();
        let mut links = 0;
        while !left.is_empty() {
            let next = left.remove(0);
            if next.as_os_str() == ".." {
                done.pop();
                continue;
            }
            let here = self.root.join(&done).join(&next);
            let is_link = fs::symlink_metadata(&here).is_ok_and(|meta| meta.file_type().is_symlink());
            if !is_link || left.is_empty() {
                done.push(next);
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::other(format!("too many symbolic links in {}", path.as_ref().display())));
            }
            let to = fs::read_link(&here)?;
            if to.is_absolute() {
                done.clear();
            }
            let mut rest = components(&to);
            rest.append(&mut left);
            left = rest;
        }
        Ok(self.root.join(done))
    }

    /// Writes a file with these permission bits, making its folders; what stood there before is replaced.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> io::Result<()> {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let to = self.resolve(path)?;
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        // A link in this place would lead out of the image; a file keeps its old permission bits when it is opened again.
        remove(&to)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode & 0o7777).open(&to)?;
        io::Write::write_all(&mut file, bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        file.sync_all()
    }

    /// Empties a file in place, keeping owner, permissions and security label; makes it when it is not there.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn empty(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let to = self.resolve(&path)?;
        match fs::symlink_metadata(&to) {
            Ok(meta) if meta.is_file() => fs::OpenOptions::new().write(true).truncate(true).open(&to)?.sync_all(),
            _ => self.write(path, b"", 0o444),
        }
    }

    /// Removes a file, a link or a whole folder; one that is not there is fine.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn remove(&self, path: impl AsRef<Path>) -> io::Result<()> {
        remove(&self.resolve(path)?)
    }

    /// Whether a folder stands there.
    pub fn is_dir(&self, path: impl AsRef<Path>) -> bool {
        self.resolve(path).is_ok_and(|path| path.is_dir())
    }

    /// Whether something stands there, a dangling link included.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.resolve(path).is_ok_and(|path| fs::symlink_metadata(path).is_ok())
    }

    /// A text file.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.resolve(path).ok()?).ok()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let gone = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match gone {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn components(path: &Path) -> Vec<PathBuf> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_absolute_link_in_the_image_stays_in_the_image() {
        let outside = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("data/lib")).unwrap();
        fs::create_dir(root.path().join("var")).unwrap();
        symlink("/data/lib", root.path().join("var/lib")).unwrap();
        symlink(outside.path().join("victim"), root.path().join("data/lib/file")).unwrap();
        let inside = Inside::new(root.path());
        inside.write("/var/lib/cloud/seed", b"x", 0o600).unwrap();
        assert_eq!(fs::read(root.path().join("data/lib/cloud/seed")).unwrap(), b"x");
        inside.write("/var/lib/file", b"y", 0o644).unwrap();
        assert!(!outside.path().join("victim").exists(), "the link was replaced, not followed");
    }

    #[test]
    fn dots_do_not_lead_out() {
        let root = tempfile::tempdir().unwrap();
        let path = Inside::new(root.path()).resolve("/../../etc/passwd").unwrap();
        assert_eq!(path, root.path().join("etc/passwd"));
    }

    #[test]
    fn links_in_a_circle_are_given_up() {
        let root = tempfile::tempdir().unwrap();
        symlink("/b", root.path().join("a")).unwrap();
        symlink("/a", root.path().join("b")).unwrap();
        assert!(Inside::new(root.path()).resolve("/a/x").is_err());
    }
}
