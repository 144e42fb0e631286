//! Answer → verdict. Pure: what was asked, what came and what time it was are parameters.

pub(super) mod candles;
pub(super) mod pages;
pub(super) mod refusals;
pub(super) mod talk;
pub(super) mod wall;

/// `1 row`, `2 rows`.
fn rows(n: usize) -> String {
    if n == 1 { "1 row".to_owned() } else { format!("{n} rows") }
}

#[cfg(test)]
mod tests;
