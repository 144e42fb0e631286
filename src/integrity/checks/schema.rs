//! The columns of a file: exactly those of the contract in ours, at least those in others'.

use arrow_schema::{DataType, Schema};

use crate::domain::{Advice, Finding, FindingKind, Kind};
use crate::format::schema::schema_of;

use super::shown;

/// Who wrote a file, as far as it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// It carries our footer, whole or damaged.
    Ours,
    /// It carries no footer of ours.
    Foreign,
}

/// Checks names, types, order and nullability of the columns.
pub(crate) fn check_schema(
    place: &str,
    kind: Kind,
    found: &Schema,
    writer: Writer,
) -> Option<Finding> {
    let expected = schema_of(kind);
    let agrees = match writer {
        Writer::Ours => expected.fields() == found.fields(),
        Writer::Foreign => is_readable(&expected, found) && has_no_strangers(&expected, found),
    };
    let (expected, found) = (listed(&expected), listed(found));
    (!agrees).then(|| {
        Finding::error(FindingKind::Schema, place, expected, shown(found))
            .advise(Advice::RepairRows)
    })
}

fn is_readable(expected: &Schema, found: &Schema) -> bool {
    expected.fields().iter().all(|field| {
        found.field_with_name(field.name()).is_ok_and(|f| f.data_type() == field.data_type())
    })
}

/// Files of the Python tool may carry a `volume` that is always zero, and nothing else.
fn has_no_strangers(expected: &Schema, found: &Schema) -> bool {
    found.fields().iter().all(|field| {
        expected.field_with_name(field.name()).is_ok()
            || (field.name() == "volume" && *field.data_type() == DataType::Float64)
    })
}

fn listed(schema: &Schema) -> String {
    let column = |field: &arrow_schema::FieldRef| {
        let nullable = if field.is_nullable() { " or null" } else { "" };
        format!("{} {}{nullable}", field.name(), field.data_type())
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}
