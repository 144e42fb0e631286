//! Which compressions this build can decode. It writes zstd, snappy and plain; other tools write more.

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

/// The first codec of a file that this build cannot decode, if there is one.
pub fn unknown_codec(metadata: &ParquetMetaData) -> Option<Compression> {
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    columns.map(ColumnChunkMetaData::compression).find(|codec| !is_known(*codec))
}

fn is_known(codec: Compression) -> bool {
    use Compression::{BROTLI, GZIP, LZ4, LZ4_RAW, SNAPPY, UNCOMPRESSED, ZSTD};
    matches!(codec, UNCOMPRESSED | SNAPPY | GZIP(_) | BROTLI(_) | LZ4 | LZ4_RAW | ZSTD(_))
}
