//! The records of a zip file, as far as `torch.save` uses them. All numbers are little-endian.

pub(crate) const LOCAL_HEADER: u32 = 0x0403_4b50;
pub(crate) const DIRECTORY_HEADER: u32 = 0x0201_4b50;
pub(crate) const DATA_DESCRIPTOR: u32 = 0x0807_4b50;
pub(crate) const END: u32 = 0x0605_4b50;
pub(crate) const END64: u32 = 0x0606_4b50;
pub(crate) const END64_LOCATOR: u32 = 0x0706_4b50;

pub(crate) const LOCAL_HEADER_LEN: u64 = 30;
pub(crate) const END_LEN: u64 = 22;
pub(crate) const END64_LEN: u64 = 56;
pub(crate) const END64_LOCATOR_LEN: u64 = 20;

/// What a 16-bit field says if the number is in a zip64 record instead.
pub(crate) const IN_ZIP64_16: u16 = u16::MAX;
/// What a 32-bit field says if the number is in a zip64 record instead.
pub(crate) const IN_ZIP64_32: u32 = u32::MAX;
/// The extra field that holds the numbers that did not fit.
pub(crate) const ZIP64_EXTRA: u16 = 1;

/// Checksum and sizes follow the entry's bytes.
pub(crate) const FLAG_DATA_DESCRIPTOR: u16 = 1 << 3;
/// The name is UTF-8.
pub(crate) const FLAG_UTF8: u16 = 1 << 11;
/// Any kind of encryption, of the entry or of the directory.
pub(crate) const FLAGS_ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
/// The compression method that is none.
pub(crate) const STORED: u16 = 0;

/// Takes fields off the front of a record.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}
