//! The contract on disk, shared by the writer and the checker and by nobody's reader of old files.
//!
//! Paths, columns, the footer inside each Parquet file, the sidecar beside it, and the hash of
//! rows that both carry. Nothing here opens a partition: `storage` writes with it, `integrity`
//! reads with it, each with its own code.

pub mod bounded;
pub mod codecs;
pub mod digest;
pub mod footer;
pub mod guard;
pub mod layout;
pub mod schema;
pub mod sidecar;
pub mod standing;
#[cfg(test)]
pub(crate) mod testing;

pub use bounded::{
    MOST_DECIMALS, MOST_FINDINGS, MOST_GAPS, MOST_RANGES, MOST_ROWS, SIDECAR_BYTES,
    SMALL_FILE_BYTES, Unread, open_ordinary, open_parquet, read_beginning, read_bounded,
};
pub use digest::{DayDigest, RowsDigest, RowsDigests};
pub use footer::{Footer, FooterError};
pub use guard::guarded;
pub use layout::Layout;
pub use sidecar::{Sidecar, SidecarCoverage};
pub use standing::{MonthSeen, SidecarSeen, Standing, WatermarkFile};

/// Version of the files this build writes; readers refuse a newer one.
///
/// Kept in footer and sidecar. It moves only with an entry in the CHANGELOG.
pub const FORMAT_VERSION: u32 = 1;

/// The version that a JSON file of ours names, if it is newer than `known`: the rest of it may have
/// any form.
pub fn newer_version(bytes: &[u8], known: u32) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format_version: u64,
    }
    let said: Versioned = serde_json::from_slice(bytes).ok()?;
    Some(said.format_version).filter(|version| *version > u64::from(known))
}
