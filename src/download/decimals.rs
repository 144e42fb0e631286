//! In how many decimals a series is quoted: what most answers say, not what one says.
//!
//! An answer says it by its rows: what the source claims beside them, or in its list of symbols, is
//! what it quotes today, and the rows may be a year old.

use std::collections::BTreeMap;

use crate::domain::{DecimalsInUse, Page, Record};

/// What the answers of a partition said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decimals {
    /// How many answers said so, by number of decimals.
    votes: BTreeMap<u8, u32>,
    /// What most answers say.
    agreed: Option<u8>,
    /// What the source says of the series itself: it counts where no answer says anything, or
    /// where as many say one thing as another.
    listed: Option<u8>,
}

impl Decimals {
    /// Starts with what the source says of the series itself, if it does.
    pub(super) fn expecting(listed: Option<u8>) -> Self {
        Self { listed, ..Self::default() }
    }

    /// Takes in what one answer says; returns what other answers said. A tie changes nothing, but
    /// in favour of what the source says of the series.
    pub(super) fn note(&mut self, said: Option<u8>) -> Option<u8> {
        let said = said?;
        let votes = self.votes.entry(said).or_default();
        *votes = votes.saturating_add(1);
        let votes = *votes;
        let agreed = *self.agreed.get_or_insert(said);
        let most = self.votes.get(&agreed).copied().unwrap_or_default();
        if votes > most || votes == most && self.listed == Some(said) {
            self.agreed = Some(said);
        }
        (agreed != said).then_some(agreed)
    }

    /// What most answers say.
    pub(super) fn agreed(&self) -> Option<u8> {
        self.agreed.or(self.listed)
    }
}

/// The decimals that the rows of an answer use: at least what it says itself, more if more than a
/// few odd rows have more.
pub(super) fn in_use<R: Record>(page: &Page<R>) -> Option<u8> {
    let said = page.pip_size?;
    let mut seen = DecimalsInUse::new(said);
    for row in &page.records {
        for price in row.prices().as_ref() {
            seen.note(*price);
        }
    }
    u8::try_from(usize::from(said) + seen.usual()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Epoch, Tick};

    fn check(known: Option<u8>, said: &[u8], expected: u8, n_contradictions: usize) {
        let mut decimals = Decimals::expecting(known);
        let contradictions = said.iter().filter(|&&said| decimals.note(Some(said)).is_some());
        assert_eq!(contradictions.count(), n_contradictions, "{known:?} {said:?}");
        assert_eq!(decimals.note(None), None);
        assert_eq!(decimals.agreed(), Some(expected), "{known:?} {said:?}");
    }

    #[test]
    fn one_odd_answer_changes_nothing_wherever_it_comes() {
        check(Some(2), &[2, 2, 1, 2], 2, 1);
        check(Some(2), &[1, 2, 2], 2, 1);
        check(None, &[1, 2, 2], 2, 2);
        check(None, &[2, 1], 2, 1);
    }

    /// The list of symbols once won a tie against the one page there was.
    #[test]
    fn what_the_source_lists_today_counts_only_where_no_answer_does() {
        check(Some(2), &[], 2, 0);
        check(Some(2), &[3], 3, 0);
        check(Some(2), &[3, 3, 3], 3, 0);
        check(Some(2), &[3, 2], 2, 1);
    }

    #[test]
    fn the_rows_of_an_answer_tell_its_decimals() {
        let page = |pip_size, quotes: &[f64]| {
            let tick =
                |(i, quote): (usize, &f64)| Tick { epoch: Epoch::new(i as i64), quote: *quote };
            let records: Vec<_> = quotes.iter().enumerate().map(tick).collect();
            let n_received = u32::try_from(records.len()).unwrap();
            Page {
                records,
                n_received,
                pip_size,
                n_duplicates: 0,
                conflicts: Vec::new(),
                unusable: Vec::new(),
            }
        };
        assert_eq!(in_use(&page(Some(2), &[1.25; 500])), Some(2));
        assert_eq!(in_use(&page(Some(2), &[1.255; 500])), Some(3));
        assert_eq!(in_use(&page(Some(2), &[1.5; 500])), Some(2));
        let mut odd = [1.25; 500];
        odd[77] = 1.255;
        assert_eq!(in_use(&page(Some(2), &odd)), Some(2));
        assert_eq!(in_use(&page(None, &[1.255; 500])), None);
        assert_eq!(in_use(&page(Some(2), &[])), Some(2));
    }
}
