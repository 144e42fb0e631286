//! Pages of ticks: how large, which rows, in which order, and where a window ends.

use super::super::answer::Ticks;
use super::super::question::Window;
use super::rows;
use crate::domain::Judged;

/// Decimals above this are no number of decimals.
const MAX_DECIMALS: f64 = 15.0;

/// How many rows a large page has.
pub(in super::super) fn page_cap(page: &Ticks, window: &Window, expected: usize) -> Judged {
    let n = page.epochs.len();
    let seen = format!("{} where {} were asked", rows(n), window.count);
    let asked = usize::try_from(window.count).unwrap_or(usize::MAX);
    match n {
        0 => Judged::differs(seen, "the symbol has no rows in the last month; choose another one"),
        n if n == expected => Judged::ok(seen),
        n if n < expected => Judged::differs(
            seen,
            "the smaller size is learned after a few pages; downloads need more requests",
        ),
        n if n >= asked => {
            Judged::differs(seen, "no cap was met; downloads stay at their own page size")
        }
        _ => Judged::differs(seen, "downloads learn it and need fewer requests"),
    }
}

/// Which end of its window a full page lies at.
pub(in super::super) fn newest_first(page: &Ticks, window: &Window) -> Judged {
    let (Some(oldest), Some(newest)) = (page.epochs.iter().min(), page.epochs.iter().max()) else {
        return Judged::skipped("the page has no rows");
    };
    let (before, after) = (oldest - window.start, window.end - newest);
    let seen = format!("{before} s of the window lie before the page, {after} s after it");
    let means = "every page would be refused as not proved: nothing is lost, nothing is completed";
    if before < 0 || after < 0 {
        return Judged::differs(format!("rows outside the window: {seen}"), means);
    }
    match before >= after {
        true => Judged::ok(seen),
        false => Judged::differs(seen, means),
    }
}

/// In which order the rows came.
pub(in super::super) fn order(page: &Ticks) -> Judged {
    let n = page.epochs.len();
    if n < 2 {
        return Judged::skipped("the page has less than two rows");
    }
    let n_equal = page.epochs.windows(2).filter(|pair| pair[0] == pair[1]).count();
    let n_back = page.epochs.windows(2).filter(|pair| pair[0] > pair[1]).count();
    match (n_back, n_equal) {
        (0, 0) => Judged::ok(format!("{} in order, each epoch once", rows(n))),
        (0, _) => Judged::differs(
            format!("{n_equal} epochs come twice"),
            "equal rows are dropped and counted; another price for one epoch becomes a finding",
        ),
        _ => Judged::differs(
            format!("{n_back} of {n} rows come before an older one"),
            "every such page is thrown away and asked again: nothing is completed",
        ),
    }
}

/// Whether there are as many prices as epochs.
pub(in super::super) fn lengths(page: &Ticks) -> Judged {
    let (epochs, prices) = (page.epochs.len(), page.prices.len());
    let seen = format!("{epochs} epochs, {prices} prices");
    match epochs == prices {
        true => Judged::ok(seen),
        false => Judged::differs(seen, "every such page is thrown away and asked again"),
    }
}

/// What `pip_size` of a page says, against the step in the list of symbols.
pub(in super::super) fn decimals(said: Option<f64>, step: Option<f64>) -> Judged {
    let Some(said) = said else {
        return Judged::differs(
            "the page has no `pip_size`",
            "prices are not held against their grid",
        );
    };
    if !is_decimals(said) {
        return Judged::differs(
            format!("the page says {said}"),
            "pages are refused, because it is no number of decimals",
        );
    }
    let Some(step) = step else {
        return Judged::skipped(format!("the page says {said}, the list nothing"));
    };
    let seen = format!("{step} in the list, {said} in the page");
    match (10_f64.powf(said) * step - 1.0).abs() < 1e-6 {
        true => Judged::ok(seen),
        false => {
            Judged::differs(seen, "the decimals of pages count; estimates from the list may be off")
        }
    }
}

fn is_decimals(said: f64) -> bool {
    said.fract() == 0.0 && (0.0..=MAX_DECIMALS).contains(&said)
}

/// Whether the prices lie on the grid that the page names.
pub(in super::super) fn grid(page: &Ticks, said: Option<f64>) -> Judged {
    let Some(said) = said.filter(|said| is_decimals(*said)) else {
        return Judged::skipped("the page names no number of decimals");
    };
    if page.prices.is_empty() {
        return Judged::skipped("the page has no rows");
    }
    let n_decimals = |price: &&String| price.split_once('.').map_or(0, |(_, digits)| digits.len());
    let finest = page.prices.iter().max_by_key(n_decimals).map_or("", String::as_str);
    let most = n_decimals(&&finest.to_owned());
    let seen = format!("at most {most} decimals, {said} are said");
    match most as f64 <= said {
        true => Judged::ok(seen),
        false => Judged::differs(
            format!("{seen}: {finest}"),
            "each such price becomes a finding `off_grid`",
        ),
    }
}

/// The answer to a window that begins on one known row and ends on another.
pub(in super::super) fn bounds(answer: &Ticks, known: &[i64]) -> Judged {
    let mut epochs = answer.epochs.clone();
    epochs.sort_unstable();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return Judged::skipped("no page with two rows came");
    };
    let (has_first, has_last) = (epochs.contains(first), epochs.contains(last));
    let seen = |what: &str| format!("{what}; {} of {} rows", epochs.len(), known.len());
    match (has_first, has_last) {
        _ if epochs == known => {
            Judged::ok(format!("both; {} of {}", known.len(), rows(known.len())))
        }
        (true, true) => Judged::differs(
            seen("both, but not the rows between"),
            "two answers contradict each other: findings would follow",
        ),
        (false, true) => Judged::differs(seen("the start is left out"), BOUND_MEANS),
        (true, false) => Judged::differs(seen("the end is left out"), BOUND_MEANS),
        (false, false) => Judged::differs(seen("both ends are left out"), BOUND_MEANS),
    }
}

const BOUND_MEANS: &str = "windows that end on a known row never hold it again: such answers are \
                           refused, and months stay incomplete";

/// The answer to a window with fewer rows asked than it holds.
pub(in super::super) fn count(answer: &Ticks, asked: usize) -> Judged {
    let n = answer.epochs.len();
    let seen = format!("{} where {asked} were asked", rows(n));
    match n {
        n if n == asked => Judged::ok(seen),
        n if n > asked => {
            Judged::differs(seen, "answers with more rows than asked for are refused")
        }
        _ => Judged::differs(seen, "harmless: fewer rows than asked for never end anything"),
    }
}

/// The answer for a time when the market was closed.
pub(in super::super) fn closed_market(answer: &Ticks) -> Judged {
    match answer.epochs.len() {
        0 => Judged::ok("no rows"),
        n => Judged::differs(
            rows(n),
            "there are rows on a Saturday; they are kept, and week-ends take more requests",
        ),
    }
}
