//! SHA-256 of what is read and written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Counts and digests what passes through to a writer.
pub(crate) struct Digesting<W> {
    writer: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W: Write> Digesting<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self {
            writer,
            sha256: Sha256::new(),
            bytes: 0,
        }
    }

    /// The writer, the number of bytes that it took, and their SHA-256 in hexadecimal.
    pub(crate) fn finish(self) -> (W, u64, String) {
        (
            self.writer,
            self.bytes,
            hexadecimal(&self.sha256.finalize()),
        )
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(buffer)?;
        self.sha256.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut sha256 = Sha256::new();
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&sha256.finalize())),
            read => sha256.update(&buffer[..read]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // The one-block example of FIPS 180-4.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let mut digesting = Digesting::new(Vec::new());
        digesting.write_all(b"a").unwrap();
        digesting.write_all(b"bc").unwrap();
        assert_eq!(
            digesting.finish(),
            (b"abc".to_vec(), 3, expected.to_owned())
        );

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(of_file(&path).unwrap(), expected);
    }
}
