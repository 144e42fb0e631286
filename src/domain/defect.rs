//! What can be wrong with an answer, and how often it was.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

macro_rules! defects {
    ($($variant:ident $name:literal $text:literal)*) => {
        /// Why an answer was thrown away.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Defect { $(#[doc = $text] $variant,)* }

        impl Defect {
            /// Every defect.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in JSON and, with spaces, in messages.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

defects! {
    Unreadable "unreadable" "It is no JSON, no text, or of the wrong shape."
    TooLarge "too_large" "It is larger than any answer may be."
    MissingRows "missing_rows" "The member that holds the rows is missing."
    UnequalLengths "unequal_lengths" "There are not as many prices as epochs."
    TooManyRows "too_many_rows" "It holds more rows than were asked for."
    Unsorted "unsorted" "Its rows are not in order."
    BadPrice "bad_price" "A price is not a positive number that a price can be."
    BadDecimals "bad_decimals" "Its number of decimals is none."
    OtherRequest "other_request" "It answers something else than was asked."
    OutsideWindow "outside_window" "It holds a row from outside the window asked for."
    RowLeftOut "row_left_out" "It leaves out a row that another answer holds."
    Unusable "unusable" "It holds a row that cannot be one of the series, and was asked again."
    Disputed "disputed" "It names another price than another answer, and was asked again."
}

/// How many answers were thrown away, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefectCounts([u64; Defect::ALL.len()]);

impl DefectCounts {
    /// Counts one.
    pub fn add(&mut self, defect: Defect) {
        self.set(defect, self.get(defect).saturating_add(1));
    }

    /// How many there were of one kind.
    pub fn get(&self, defect: Defect) -> u64 {
        self.0[defect as usize]
    }

    /// Sets the number of one kind.
    pub fn set(&mut self, defect: Defect, n: u64) {
        self.0[defect as usize] = n;
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for &defect in Defect::ALL {
            self.set(defect, self.get(defect).saturating_add(other.get(defect)));
        }
        self
    }

    /// How many there were in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    fn seen(&self) -> impl Iterator<Item = (Defect, u64)> {
        Defect::ALL.iter().map(|&defect| (defect, self.get(defect))).filter(|(_, n)| *n > 0)
    }
}

/// `12 (unsorted 3, outside window 9)`.
impl fmt::Display for DefectCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self
            .seen()
            .map(|(defect, n)| format!("{} {n}", defect.name().replace('_', " ")))
            .collect();
        write!(f, "{}", self.total())?;
        if kinds.is_empty() { Ok(()) } else { write!(f, " ({})", kinds.join(", ")) }
    }
}

/// An object of those that were seen: `{"unsorted": 3}`.
impl Serialize for DefectCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (defect, n) in self.seen() {
            map.serialize_entry(defect.name(), &n)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_kind() {
        let mut counts = DefectCounts::default();
        assert_eq!(counts.to_string(), "0");
        counts.add(Defect::Unsorted);
        let mut more = DefectCounts::default();
        more.set(Defect::OutsideWindow, 2);
        let both = counts.plus(&more);
        assert_eq!(both.to_string(), "3 (unsorted 1, outside window 2)");
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(json, r#"{"unsorted":1,"outside_window":2}"#);
    }
}
