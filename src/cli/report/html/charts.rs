//! The charts of the page, as SVG that takes its colours from the style sheet.
//!
//! Each is drawn twice, wide and narrow: one that shrinks to the width of a phone has letters that
//! nobody can read. Colours here are names for the style sheet, which replaces each of them, so that
//! the same chart is right on a light page and on a dark one. The only texts are numbers and dates.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, WithKeyPoints};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, KeyPointWeight, Ranged};
use plotters::coord::types::RangedCoordi64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color, DrawingArea, DrawingAreaErrorKind,
    IntoDrawingArea, PathElement, Polygon, RGBColor, Rectangle, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont, TextStyle};

use crate::domain::EpochRange;
use crate::integrity::PriceSpan;

use super::super::text::thousands;
use super::axis;
use super::course::STEPS;

const DAY: i64 = 86_400;

/// Prices and rows.
const INK: RGBColor = RGBColor(0x2F, 0x6F, 0xEB);
/// What the source refused.
const ALARM: RGBColor = RGBColor(0xC2, 0x37, 0x2B);
/// Letters and axes.
const QUIET: RGBColor = RGBColor(0x5B, 0x64, 0x72);
/// Lines behind the data.
const GRID: RGBColor = RGBColor(0xDD, 0xE2, 0xEA);

/// Steps without rows that a line still crosses; a longer silence is a gap in the line.
const MOST_BRIDGED: i64 = 1;

/// A chart, or why there is none.
type Drawn = Result<String, DrawingAreaErrorKind<io::Error>>;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<WithKeyPoints<RangedCoordi64>, Upright>>;

/// The upright axis. The one of the library looks for round values without end where their steps
/// vanish beside the values, as a file of another tool may have them.
struct Upright {
    bottom: f64,
    top: f64,
}

impl Ranged for Upright {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.bottom) / (self.top - self.bottom);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        // There are no lines between the lines.
        match hint.weight() {
            KeyPointWeight::Bold => axis::values(self.bottom, self.top, hint.bold_points()),
            KeyPointWeight::Any => Vec::new(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.bottom..self.top
    }
}

/// How large a chart is, in units of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    width: u32,
    height: u32,
    /// Height of the letters.
    letters: f64,
    /// Marks on the axis of time.
    most_marks: usize,
    /// Bars, or points of a line.
    most_points: usize,
}

/// For the width of a page: about 0.7 of a pixel each.
const WIDE: Size =
    Size { width: 1440, height: 380, letters: 18.0, most_marks: 10, most_points: 600 };
/// For a phone: about half a pixel each.
const NARROW: Size =
    Size { width: 720, height: 420, letters: 25.0, most_marks: 5, most_points: 130 };

impl Size {
    /// Bars say less than a line, and need less height.
    fn flat(self) -> Self {
        Self { height: self.height * 2 / 3, ..self }
    }
}

/// One chart in both sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) wide: String,
    pub(super) narrow: String,
}

impl Pair {
    /// Draws both; `None` if one of them cannot be drawn, which takes a mistake of ours.
    fn of(draw: impl Fn(Size) -> Drawn) -> Option<Self> {
        match (draw(WIDE), draw(NARROW)) {
            (Ok(wide), Ok(narrow)) => Some(Self { wide, narrow }),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "a chart cannot be drawn");
                None
            }
        }
    }
}

/// Prices: the last of each step as a line, the lowest to the highest as a band behind it.
pub(super) fn prices(
    spans: &BTreeMap<i64, PriceSpan>,
    step_secs: i64,
    window: EpochRange,
) -> Option<Pair> {
    if spans.is_empty() {
        return None;
    }
    Pair::of(|size| {
        let (spans, step_secs) = coarser(spans, step_secs, size.most_points);
        draw_prices(&spans, step_secs, window, size)
    })
}

/// Seconds of a step of the wide and of the narrow chart.
pub(super) fn price_steps(spans: &BTreeMap<i64, PriceSpan>, step_secs: i64) -> (i64, i64) {
    let wider = |size: Size| wider(spans.len(), step_secs, size.most_points);
    (wider(WIDE), wider(NARROW))
}

/// The next step of which there are so many at most.
fn wider(n_steps: usize, step_secs: i64, most: usize) -> i64 {
    let least = step_secs * n_steps.div_ceil(most).max(1) as i64;
    STEPS.into_iter().find(|step| *step >= least).unwrap_or(least)
}

/// The same with so many steps at most.
fn coarser(
    spans: &BTreeMap<i64, PriceSpan>,
    step_secs: i64,
    most: usize,
) -> (BTreeMap<i64, PriceSpan>, i64) {
    let wider = wider(spans.len(), step_secs, most);
    let mut coarse: BTreeMap<i64, PriceSpan> = BTreeMap::new();
    for (start, span) in spans {
        let step = start.div_euclid(wider) * wider;
        coarse.entry(step).and_modify(|known| known.go_on(*span)).or_insert(*span);
    }
    (coarse, wider)
}

fn draw_prices(
    spans: &BTreeMap<i64, PriceSpan>,
    step_secs: i64,
    window: EpochRange,
    size: Size,
) -> Drawn {
    let low = spans.values().map(|span| span.low).fold(f64::INFINITY, f64::min);
    let high = spans.values().map(|span| span.high).fold(f64::NEG_INFINITY, f64::max);
    // A price that stands still has a line in the middle of its chart.
    let room = if high > low { (high - low) * 0.06 } else { low.abs().max(1.0) * 0.01 };
    let (bottom, top) = (low - room, high + room);
    let decimals = decimals(top - bottom);
    // The first and the last day may be empty for the most part.
    let first = spans.keys().next().copied().unwrap_or_default().max(window.start().secs());
    let last = spans.keys().next_back().copied().unwrap_or_default() + step_secs;
    let frame = Frame {
        x: (first, last.max(first + 1)),
        y: (bottom, top),
        label: &move |price| format!("{price:.decimals$}"),
    };
    drawn(size, &frame, |chart| {
        let middle = |start: i64| (start + step_secs / 2).clamp(first, last);
        for part in parts(spans, step_secs) {
            let upper = part.iter().map(|(start, span)| (middle(*start), span.high));
            let lower = part.iter().rev().map(|(start, span)| (middle(*start), span.low));
            let band: Vec<_> = upper.chain(lower).collect();
            let line: Vec<_> = part.iter().map(|(at, span)| (middle(*at), span.last)).collect();
            if let [point] = line[..] {
                let ends = [(point.0, part[0].1.low), (point.0, part[0].1.high)];
                chart.draw_series([PathElement::new(ends, INK.mix(0.35).stroke_width(3))])?;
                chart.draw_series([Circle::new(point, 4, INK.filled())])?;
                continue;
            }
            chart.draw_series([Polygon::new(band, INK.mix(0.2).filled())])?;
            chart.draw_series([PathElement::new(line, INK.stroke_width(2))])?;
        }
        Ok(())
    })
}

/// The steps that follow each other without a silence between them.
fn parts(spans: &BTreeMap<i64, PriceSpan>, step_secs: i64) -> Vec<Vec<(i64, PriceSpan)>> {
    let mut parts: Vec<Vec<(i64, PriceSpan)>> = Vec::new();
    for (start, span) in spans {
        let goes_on = |part: &&mut Vec<(i64, PriceSpan)>| {
            part.last().is_some_and(|(last, _)| start - last <= (MOST_BRIDGED + 1) * step_secs)
        };
        match parts.last_mut().filter(goes_on) {
            Some(part) => part.push((*start, *span)),
            None => parts.push(vec![(*start, *span)]),
        }
    }
    parts
}

/// So many that neighbouring marks differ.
fn decimals(range: f64) -> usize {
    let digits = 1.0 - range.max(f64::MIN_POSITIVE).log10().floor();
    digits.clamp(0.0, 10.0) as usize
}

/// Rows of each day as bars; of a long time the mean of some days.
pub(super) fn rows(rows_by_day: &BTreeMap<i64, u64>, window: EpochRange) -> Option<Pair> {
    let (first, last) = (window.start().secs(), window.end().secs());
    let n_days = (last - first).div_euclid(DAY).max(1);
    rows_by_day.range(first..last).next()?;
    Pair::of(|size| {
        let days_each = days_each(n_days, size);
        let mut sums: BTreeMap<i64, u64> = BTreeMap::new();
        for (day, rows) in rows_by_day.range(first..last) {
            let sum = sums.entry((day - first).div_euclid(days_each * DAY)).or_default();
            *sum = sum.saturating_add(*rows);
        }
        draw_rows(&sums, days_each, (first, last), size.flat())
    })
}

/// How many days share a bar.
fn days_each(n_days: i64, size: Size) -> i64 {
    (n_days + size.most_points as i64 - 1).div_euclid(size.most_points as i64).max(1)
}

/// Days that share a bar of the wide and of the narrow chart.
pub(super) fn days_in_bars(window: EpochRange) -> (i64, i64) {
    let n_days = window.len_secs().div_euclid(DAY).max(1);
    (days_each(n_days, WIDE), days_each(n_days, NARROW))
}

fn draw_rows(
    sums: &BTreeMap<i64, u64>,
    days_each: i64,
    (first, last): (i64, i64),
    size: Size,
) -> Drawn {
    let secs_each = days_each * DAY;
    // The last bar may stand for fewer days.
    let n_days = |start: i64| ((last.min(start + secs_each) - start) as f64 / DAY as f64).max(1.0);
    let bar = |(index, sum): (&i64, &u64)| {
        let start = first + index * secs_each;
        (start, *sum as f64 / n_days(start))
    };
    let bars: Vec<(i64, f64)> = sums.iter().map(bar).collect();
    let most = bars.iter().map(|(_, rows)| *rows).fold(1.0, f64::max);
    let frame = Frame { x: (first, last), y: (0.0, most * 1.08), label: &|rows| count(rows) };
    drawn(size, &frame, |chart| {
        let gap = secs_each / 8;
        let bar = |(start, rows): &(i64, f64)| {
            let end = last.min(start + secs_each);
            Rectangle::new([(start + gap, 0.0), (end - gap, *rows)], INK.filled())
        };
        chart.draw_series(bars.iter().map(bar))?;
        Ok(())
    })
}

/// One run of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunBar {
    /// `03-07`.
    pub(super) label: String,
    pub(super) requests: u64,
    pub(super) refusals: u64,
}

/// Width of a run on an axis that knows no time.
const RUN: i64 = 100;

/// Requests of each run as bars, the oldest first, and in front of them what was refused, in
/// numbers as well.
pub(super) fn runs(bars: &[RunBar]) -> Option<Pair> {
    if bars.iter().all(|bar| bar.requests == 0) {
        return None;
    }
    Pair::of(|size| draw_runs(bars, size.flat()))
}

fn draw_runs(bars: &[RunBar], size: Size) -> Drawn {
    let most = bars.iter().map(|bar| bar.requests.max(bar.refusals)).max().unwrap_or(0).max(1);
    let end = RUN * bars.len().max(1) as i64;
    let frame = Frame { x: (0, end), y: (0.0, most as f64 * 1.15), label: &|n| count(n) };
    let every = bars.len().div_ceil(size.most_marks).max(1);
    let marks: Vec<_> = (0..bars.len()).step_by(every).map(|i| RUN * i as i64 + RUN / 2).collect();
    let name = |mark: &i64| {
        let bar = usize::try_from(mark / RUN).ok().and_then(|index| bars.get(index));
        bar.map_or_else(String::new, |bar| bar.label.clone())
    };
    framed(size, &frame, marks, &name, |chart| {
        for (index, bar) in bars.iter().enumerate() {
            let start = RUN * index as i64;
            let middle = start + RUN / 2;
            let column = |rows: u64, margin: i64, style| {
                let corners = [(start + margin, 0.0), (start + RUN - margin, rows as f64)];
                Rectangle::new(corners, style)
            };
            chart.draw_series([column(bar.requests, 12, INK.filled())])?;
            if bar.refusals > 0 {
                chart.draw_series([column(bar.refusals, 30, ALARM.filled())])?;
                let style = letters(size, ALARM).pos(Pos::new(HPos::Center, VPos::Bottom));
                let above = bar.requests.max(bar.refusals) as f64;
                let said = thousands(bar.refusals);
                chart.draw_series([Text::new(said, (middle, above), style)])?;
            }
        }
        Ok(())
    })
}

/// What a chart is drawn into.
struct Frame<'f> {
    x: (i64, i64),
    y: (f64, f64),
    /// How a value of the upright axis is written.
    label: &'f dyn Fn(f64) -> String,
}

type Draw<'d> = dyn Fn(&mut Chart<'_, '_>) -> Result<(), DrawingAreaErrorKind<io::Error>> + 'd;

/// A chart over time.
fn drawn(
    size: Size,
    frame: &Frame<'_>,
    draw: impl Fn(&mut Chart<'_, '_>) -> Result<(), DrawingAreaErrorKind<io::Error>>,
) -> Drawn {
    let marks = axis::marks(frame.x.0, frame.x.1, size.most_marks);
    let all = marks.clone();
    framed(size, frame, marks, &|mark| axis::name(*mark, &all), draw)
}

fn framed(
    size: Size,
    frame: &Frame<'_>,
    marks: Vec<i64>,
    name: &dyn Fn(&i64) -> String,
    draw: impl Fn(&mut Chart<'_, '_>) -> Result<(), DrawingAreaErrorKind<io::Error>>,
) -> Drawn {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (size.width, size.height)).into_drawing_area();
        draw_into(&area, size, frame, marks, name, &draw)?;
        area.present()?;
    }
    // Inside of HTML it needs no namespace, and the page names no address, not even that one.
    Ok(svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1))
}

fn draw_into(
    area: &Area<'_>,
    size: Size,
    frame: &Frame<'_>,
    marks: Vec<i64>,
    name: &dyn Fn(&i64) -> String,
    draw: &Draw<'_>,
) -> Result<(), DrawingAreaErrorKind<io::Error>> {
    let Frame { x, y, label } = frame;
    let longest = [y.0, (y.0 + y.1) / 2.0, y.1].map(|value| label(value).chars().count());
    let n_letters = longest.into_iter().max().unwrap_or(0) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin_top(size.letters)
        // The last mark may stand at the edge.
        .margin_right(size.letters * 2.2)
        .y_label_area_size(n_letters * size.letters * 0.6 + size.letters)
        .x_label_area_size(size.letters * 2.0)
        .build_cartesian_2d((x.0..x.1).with_key_points(marks), Upright { bottom: y.0, top: y.1 })?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .y_labels(if size.height < 300 { 3 } else { 5 })
        .bold_line_style(GRID.stroke_width(1))
        .axis_style(GRID.stroke_width(2))
        .label_style(letters(size, QUIET))
        .x_label_formatter(&|mark| name(mark))
        .y_label_formatter(&|value| label(*value))
        .draw()?;
    draw(&mut chart)
}

fn letters(size: Size, colour: RGBColor) -> TextStyle<'static> {
    // The backend divides by this again.
    let height = size.letters * 1.24;
    ("sans-serif", height).into_font().color(&colour)
}

/// `950`, `1,200`, `86k`, `1.3M`.
fn count(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1}M", n / 1e6),
        n if n >= 1e4 => format!("{:.0}k", n / 1e3),
        n => thousands(n.max(0.0).round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Epoch;

    fn span(last: f64) -> PriceSpan {
        PriceSpan { low: last - 1.0, high: last + 1.0, last }
    }

    fn window(start: i64, end: i64) -> EpochRange {
        EpochRange::new(Epoch::new(start), Epoch::new(end)).unwrap()
    }

    #[test]
    fn a_line_breaks_where_nothing_was_said() {
        let spans: BTreeMap<_, _> =
            [0, 60, 180, 360, 420].map(|start| (start, span(5.0))).into_iter().collect();
        let lengths: Vec<_> = parts(&spans, 60).iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 2]);
    }

    #[test]
    fn fewer_steps_keep_lowest_highest_and_last() {
        let spans: BTreeMap<_, _> = (0..100).map(|i| (i * 60, span(i as f64))).collect();
        let (coarse, step) = coarser(&spans, 60, 30);
        assert_eq!((coarse.len(), step), (20, 300));
        assert_eq!(coarse[&0], PriceSpan { low: -1.0, high: 5.0, last: 4.0 });
        assert_eq!(coarser(&spans, 60, 100).0, spans);
    }

    #[test]
    fn every_day_has_its_bar_and_no_address_is_named() {
        let rows_by_day: BTreeMap<_, _> = (0..31).map(|i| (i * DAY, 1_000 + i as u64)).collect();
        let pair = rows(&rows_by_day, window(0, 31 * DAY)).unwrap();
        for svg in [&pair.wide, &pair.narrow] {
            assert_eq!(svg.matches("fill=\"#2F6FEB\"").count(), 31);
            assert!(!svg.contains("http"), "{svg}");
        }
        assert_eq!(days_in_bars(window(0, 400 * DAY)), (1, 4));
        assert!(rows(&BTreeMap::new(), window(0, DAY)).is_none());
    }

    #[test]
    fn prices_of_any_size_are_drawn() {
        for price in [1e-9, 1.0, 1.23456, 1e12, 1e15, 1e17, f64::MAX / 4.0] {
            let spans =
                [(0, PriceSpan { low: price, high: price, last: price }), (60, span(price))];
            let pair = prices(&BTreeMap::from(spans), 60, window(0, DAY)).unwrap();
            assert!(pair.wide.contains("polyline"), "{price}");
        }
        let one = BTreeMap::from([(0, span(2.0))]);
        assert!(prices(&one, 60, window(0, DAY)).unwrap().narrow.contains("circle"));
    }

    #[test]
    fn refusals_are_told_in_numbers() {
        let bar = |requests, refusals| RunBar { label: "03-07".into(), requests, refusals };
        let pair = runs(&[bar(100, 0), bar(500, 1_234)]).unwrap();
        assert!(pair.wide.contains("1,234") && pair.wide.contains("03-07"), "{}", pair.wide);
        assert!(runs(&[bar(0, 0)]).is_none());
        assert!(runs(&[bar(u64::MAX, 1)]).is_some());
    }

    #[test]
    fn marks_tell_neighbours_apart() {
        let check = |range, expected| assert_eq!(decimals(range), expected, "{range}");
        check(300.0, 0);
        check(20.0, 0);
        check(3.0, 1);
        check(0.02, 3);
        assert_eq!([0.0, 999.0, 43_200.0, 1_300_000.0].map(count), ["0", "999", "43k", "1.3M"]);
    }
}
