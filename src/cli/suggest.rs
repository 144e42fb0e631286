//! The word that was probably meant.

/// The word that is most like `typed`, if one is at all.
pub(super) fn similar<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let allowed = (typed.chars().count() / 3).max(1);
    let distance = |word: &str| {
        let word = word.to_lowercase();
        match word.starts_with(&typed) || word.contains(&typed) && typed.len() > 2 {
            true => 0,
            false => strsim::damerau_levenshtein(&word, &typed),
        }
    };
    let nearest = words.into_iter().map(|word| (distance(word), word)).min()?;
    (nearest.0 <= allowed).then_some(nearest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_like_it() {
        let check = |typed, expected| {
            let words = ["forex", "synthetic_index", "cryptocurrency"];
            assert_eq!(similar(typed, words), expected, "{typed}");
        };
        check("forx", Some("forex"));
        check("froex", Some("forex"));
        check("crypto", Some("cryptocurrency"));
        check("synthetic", Some("synthetic_index"));
        check("synthetics_index", Some("synthetic_index"));
        check("bonds", None);
        check("x", None);
    }
}
