//! Proved pieces on their way to the staging: joined while they touch, let go in segments.
//!
//! This is what bounds the memory of a download: about one chunk of rows for each partition being
//! worked on, however long the month.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use crate::domain::{Epoch, EpochRange, Record, Segment, SegmentNotes};

/// One answered stretch with its rows.
#[derive(Debug, Clone, PartialEq)]
struct Run<R> {
    end: Epoch,
    asked: (Epoch, Epoch),
    n_duplicates: u64,
    rows: Pieces<R>,
}

/// Joins pieces that touch and cuts segments of at most a chunk of rows.
#[derive(Debug)]
pub struct SegmentBuffer<R> {
    chunk_rows: usize,
    /// By first second; disjoint, but for positions two runs both answered.
    runs: BTreeMap<Epoch, Run<R>>,
    n_rows: usize,
}

impl<R: Record> SegmentBuffer<R> {
    /// Holds up to about `chunk_rows` rows.
    pub fn new(chunk_rows: usize) -> Self {
        Self { chunk_rows: chunk_rows.max(1), runs: BTreeMap::new(), n_rows: 0 }
    }

    /// Adds the rows of an answered range, asked at `asked` by the source's clock.
    ///
    /// Where two pieces hold a row for one epoch, the one of the piece that begins lower stays.
    pub fn insert(&mut self, range: EpochRange, rows: Vec<R>, n_duplicates: u32, asked: Epoch) {
        self.n_rows += rows.len();
        let n_duplicates = u64::from(n_duplicates);
        let mut start = range.start();
        let rows = Pieces::of(rows);
        let mut run = Run { end: range.end(), asked: (asked, asked), n_duplicates, rows };
        // Touching runs are few: pieces arrive beside each other.
        while let Some(other_start) = self.touching(start, run.end) {
            let Some(other) = self.runs.remove(&other_start) else { break };
            let held = run.rows.n_rows + other.rows.n_rows;
            run = if other_start <= start { join(other, run) } else { join(run, other) };
            start = start.min(other_start);
            self.n_rows -= held - run.rows.n_rows;
        }
        self.runs.insert(start, run);
    }

    fn touching(&self, start: Epoch, end: Epoch) -> Option<Epoch> {
        let mut up_to_end = self.runs.range(..=end).rev();
        up_to_end.find(|(_, run)| run.end >= start).map(|(start, _)| *start)
    }

    /// Lets a segment go if more rows are held than a chunk.
    pub fn pop_full(&mut self, pip_size: Option<u8>) -> Option<Segment<R>> {
        (self.n_rows >= self.chunk_rows).then(|| self.pop(pip_size)).flatten()
    }

    /// Lets the longest run go, at most a chunk of its rows; `None` when nothing is held.
    pub fn pop(&mut self, pip_size: Option<u8>) -> Option<Segment<R>> {
        let (&start, _) = self.runs.iter().max_by_key(|(_, run)| run.rows.n_rows)?;
        let mut run = self.runs.remove(&start)?;
        let mut end = run.end;
        let rows = run.rows.split_off(self.chunk_rows);
        if let Some(next) = rows.first() {
            end = next.epoch();
            self.runs.insert(end, Run { end: run.end, asked: run.asked, n_duplicates: 0, rows });
        }
        self.n_rows -= run.rows.n_rows;
        let range = EpochRange::new(start, end)?;
        let Run { asked, n_duplicates, rows, .. } = run;
        let notes = SegmentNotes::default();
        Some(Segment { range, asked, pip_size, n_duplicates, pieces: rows.pieces.into(), notes })
    }
}

/// Joins two touching or overlapping runs; `low` begins first and its rows count.
fn join<R: Record>(low: Run<R>, high: Run<R>) -> Run<R> {
    Run {
        end: low.end.max(high.end),
        asked: (low.asked.0.min(high.asked.0), low.asked.1.max(high.asked.1)),
        n_duplicates: low.n_duplicates + high.n_duplicates,
        rows: low.rows.followed_by(high.rows),
    }
}

/// Ascending rows, left in the pieces they came in: no piece is empty.
///
/// Months are walked backward, so every answer is put before a chunk of others. One block of rows
/// would be copied for each of them, and its growth leaves holes in the heap.
#[derive(Debug, Clone, PartialEq)]
struct Pieces<R> {
    pieces: VecDeque<Vec<R>>,
    n_rows: usize,
}

impl<R: Record> Pieces<R> {
    fn of(rows: Vec<R>) -> Self {
        let n_rows = rows.len();
        Self { pieces: Some(rows).filter(|rows| !rows.is_empty()).into_iter().collect(), n_rows }
    }

    fn first(&self) -> Option<&R> {
        self.pieces.front()?.first()
    }

    fn last(&self) -> Option<&R> {
        self.pieces.back()?.last()
    }

    /// Puts `high` behind these rows, whose word counts where both have a row for one epoch.
    fn followed_by(mut self, mut high: Self) -> Self {
        let ends = self.last().zip(high.first());
        match ends.map_or(Ordering::Less, |(last, first)| last.epoch().cmp(&first.epoch())) {
            Ordering::Less => {}
            // Neighbouring windows share one position: its row is there already.
            Ordering::Equal => high.drop_first(),
            Ordering::Greater => return self.sorted_with(high),
        }
        let n_rows = self.n_rows + high.n_rows;
        let pieces = if self.pieces.len() < high.pieces.len() {
            self.pieces.into_iter().rev().for_each(|rows| high.pieces.push_front(rows));
            high.pieces
        } else {
            self.pieces.append(&mut high.pieces);
            self.pieces
        };
        Self { pieces, n_rows }
    }

    fn drop_first(&mut self) {
        let Some(rows) = self.pieces.front_mut() else { return };
        self.n_rows -= 1;
        if rows.len() > 1 {
            rows.remove(0);
        } else {
            self.pieces.pop_front();
        }
    }

    fn sorted_with(self, high: Self) -> Self {
        let mut rows = Vec::with_capacity(self.n_rows + high.n_rows);
        rows.extend(self.pieces.into_iter().chain(high.pieces).flatten());
        // Stable: of two rows for one epoch the one of `self` comes first and is kept.
        rows.sort_by_key(Record::epoch);
        rows.dedup_by_key(|row| row.epoch());
        Self::of(rows)
    }

    /// Keeps the first `n_rows` rows and returns those behind them.
    fn split_off(&mut self, n_rows: usize) -> Self {
        let mut rest = Self { pieces: VecDeque::new(), n_rows: 0 };
        while self.n_rows > n_rows {
            let Some(mut rows) = self.pieces.pop_back() else { break };
            let n_before = self.n_rows - rows.len();
            let behind = rows.split_off(n_rows.saturating_sub(n_before));
            self.n_rows = n_before + rows.len();
            rest.n_rows += behind.len();
            rest.pieces.push_front(behind);
            if !rows.is_empty() {
                self.pieces.push_back(rows);
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{RangeSet, Tick};

    fn range(start: i64, end: i64) -> EpochRange {
        EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap()
    }

    fn rows(range: EpochRange) -> Vec<Tick> {
        (range.start().secs()..range.end().secs())
            .map(|secs| Tick { epoch: Epoch::new(secs), quote: secs as f64 })
            .collect()
    }

    proptest! {
        /// Whatever order pieces come in and wherever they overlap, every second and row leaves
        /// exactly once in segments that are in order and no longer than a chunk.
        #[test]
        fn nothing_is_lost_and_nothing_doubled(
            pieces in proptest::collection::vec((0i64..300, 1i64..40), 1..30),
            chunk in 1usize..60,
        ) {
            let mut buffer = SegmentBuffer::new(chunk);
            let mut wanted = RangeSet::new();
            for (start, len) in pieces {
                let piece = range(start, start + len);
                wanted.insert(piece);
                buffer.insert(piece, rows(piece), 0, Epoch::new(0));
            }
            prop_assert_eq!(buffer.n_rows as i64, wanted.len_secs());
            let mut popped = RangeSet::new();
            let mut n_rows = 0;
            while let Some(segment) = buffer.pop(None) {
                prop_assert!(segment.n_rows() <= chunk);
                prop_assert!(segment.pieces.iter().all(|rows| !rows.is_empty()));
                prop_assert_eq!(&segment.pieces.concat(), &rows(segment.range));
                prop_assert!(!popped.intersects(segment.range));
                popped.insert(segment.range);
                n_rows += segment.n_rows();
            }
            prop_assert_eq!(n_rows as i64, wanted.len_secs());
            prop_assert_eq!(popped, wanted);
            prop_assert_eq!(buffer.n_rows, 0);
        }
    }

    #[test]
    fn the_row_of_the_lower_piece_counts() {
        let tick = |quote| vec![Tick { epoch: Epoch::new(9), quote }];
        for lower_first in [true, false] {
            let mut buffer = SegmentBuffer::new(100);
            let mut pieces = vec![(range(0, 10), tick(1.0)), (range(9, 20), tick(2.0))];
            if !lower_first {
                pieces.reverse();
            }
            for (range, rows) in pieces {
                buffer.insert(range, rows, 0, Epoch::new(0));
            }
            assert_eq!(buffer.pop(None).unwrap().pieces.concat(), tick(1.0));
        }
    }

    #[test]
    fn silence_is_kept_as_an_empty_segment() {
        let mut buffer = SegmentBuffer::<Tick>::new(10);
        buffer.insert(range(0, 10), Vec::new(), 0, Epoch::new(5));
        assert_eq!(buffer.pop_full(None), None);
        let segment = buffer.pop(Some(2)).unwrap();
        assert_eq!((segment.range, segment.n_rows()), (range(0, 10), 0));
    }
}
