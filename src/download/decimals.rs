//! In how many decimals a series is quoted: what most answers say, not what one says.

use std::collections::BTreeMap;

/// What the answers of a partition said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decimals {
    /// How many answers said so, by number of decimals.
    votes: BTreeMap<u8, u32>,
    agreed: Option<u8>,
}

impl Decimals {
    /// Starts with what the source says of the series itself, if it does.
    pub(super) fn expecting(known: Option<u8>) -> Self {
        Self { votes: known.map(|decimals| (decimals, 1)).into_iter().collect(), agreed: known }
    }

    /// Takes in what one answer says; returns what it contradicts. A tie changes nothing.
    pub(super) fn note(&mut self, said: Option<u8>) -> Option<u8> {
        let said = said?;
        let votes = self.votes.entry(said).or_default();
        *votes = votes.saturating_add(1);
        let votes = *votes;
        let agreed = *self.agreed.get_or_insert(said);
        if votes > self.votes.get(&agreed).copied().unwrap_or_default() {
            self.agreed = Some(said);
        }
        (agreed != said).then_some(agreed)
    }

    /// What most answers say.
    pub(super) fn agreed(&self) -> Option<u8> {
        self.agreed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        check(Some(2), &[3], 2, 1);
        check(None, &[1, 2, 2], 2, 2);
        check(None, &[2, 1], 2, 1);
    }

    #[test]
    fn what_the_source_keeps_saying_counts_in_the_end() {
        check(Some(2), &[3, 3, 3], 3, 2);
    }
}
