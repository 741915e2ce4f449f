//! The door for the fuzz targets, and for nobody else (`cfg(fuzzing)`): hostile bytes to the forms of the journal.

use crate::journal::{HEADER_LEN, Header, RECORD_LEN, Record};

/// Bytes of a journal's header and of each of its records.
pub const FORM_BYTES: [usize; 2] = [HEADER_LEN, RECORD_LEN];

/// The header at the beginning of these bytes, as it would be written.
pub fn header(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Header::decode(bytes).ok()?.encode().to_vec())
}

/// The record at the beginning of these bytes, and as it would be written.
pub fn record(bytes: &[u8]) -> Option<(Record, Vec<u8>)> {
    let record = Record::decode(bytes.first_chunk()?)?;
    let written = record.encode().to_vec();
    Some((record, written))
}
