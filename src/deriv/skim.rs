//! Quick readers for what comes by the thousand: the envelope of a message, and pages of ticks.
//!
//! A page is a hundred kilobytes of numbers around a few short values. To learn whose answer it is,
//! the numbers are passed over a block of bytes at a time; to take it in, they are read straight
//! into columns. Both read only what is written as usual. Whatever is not, good or bad, is left to
//! the slower readers of `wire`, which decide what it is.

use serde::de::IgnoredAny;

use super::wire::{Envelope, History, HistoryAnswer, Number, Seconds};

/// Bytes looked at together; as many as a vector register or two hold.
const BLOCK_BYTES: usize = 32;

/// So many digits are exact as a double, and as the quotient of two exact doubles the nearest.
const MAX_PRICE_DIGITS: usize = 15;

/// Powers of ten that are exact doubles, as many as a price can have decimals.
const POWERS_OF_TEN: [f64; MAX_PRICE_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Characters of a price, an epoch and the commas behind them, to guess how many rows there are.
const BYTES_PER_ROW: usize = 19;

/// The envelope of a message. Arrays and objects in it may be broken: whoever waits for the
/// message reads them, says so, and knows whom it concerns.
pub(super) fn envelope(text: &str) -> Option<Envelope> {
    let mut envelope = Envelope::default();
    let mut known = Once::default();
    whole(text, |key, cursor| {
        let value = cursor.value()?;
        match key {
            "req_id" => envelope.req_id = known.read(0, value)?,
            "msg_type" => envelope.msg_type = known.read(1, value)?,
            "error" => envelope.error = known.read::<Option<IgnoredAny>>(2, value)?,
            "subscription" => envelope.subscription = known.read(3, value)?,
            _ => {}
        }
        Some(())
    })?;
    Some(envelope)
}

/// A page of ticks, or an error in its place.
pub(super) fn history(text: &str) -> Option<HistoryAnswer> {
    let mut answer = HistoryAnswer { history: None, pip_size: None, echo_req: None, error: None };
    let mut known = Once::default();
    whole(text, |key, cursor| {
        match key {
            "history" => {
                known.note(0)?;
                answer.history = Some(columns(cursor)?);
            }
            "pip_size" => answer.pip_size = known.read(1, cursor.value()?)?,
            "echo_req" => answer.echo_req = known.read(2, cursor.value()?)?,
            "error" => answer.error = known.read(3, cursor.value()?)?,
            _ => drop(serde_json::from_str::<IgnoredAny>(cursor.value()?).ok()?),
        }
        Some(())
    })?;
    Some(answer)
}

fn columns(cursor: &mut Cursor<'_>) -> Option<History> {
    let (mut prices, mut times) = (None, None);
    let n_guessed = (cursor.text.len() - cursor.at) / BYTES_PER_ROW + 1;
    object(cursor, |key, cursor| {
        match key {
            "prices" if prices.is_none() => prices = Some(cursor.numbers(price, n_guessed)?),
            "times" if times.is_none() => times = Some(cursor.numbers(seconds, n_guessed)?),
            _ => return None,
        }
        Some(())
    })?;
    Some(History { prices: prices?, times: times? })
}

/// Reads a price without a sign or an exponent, and tells its length.
///
/// Its digits without the point are a whole number below 10^15, and that divided by a power of ten
/// is the nearest double to the price, because both are exact and division rounds correctly.
fn price(text: &[u8]) -> Option<(Number, usize)> {
    let (whole, n_whole) = digits(text)?;
    let (value, n_decimals, len) = match text.get(n_whole) {
        Some(b'.') => {
            let (decimals, n_decimals) = digits_after(whole, &text[n_whole + 1..]);
            (decimals, n_decimals, n_whole + 1 + n_decimals)
        }
        _ => (whole, 0, n_whole),
    };
    let is_cut = len == n_whole + 1;
    if is_cut || n_whole + n_decimals > MAX_PRICE_DIGITS {
        return None;
    }
    #[allow(clippy::cast_precision_loss)] // at most 15 digits
    Some((Number(value as f64 / POWERS_OF_TEN[n_decimals]), len))
}

/// Reads an epoch and tells its length.
fn seconds(text: &[u8]) -> Option<(Seconds, usize)> {
    let (value, len) = digits(text)?;
    let secs = i64::try_from(value).ok().filter(|secs| *secs <= Seconds::MAX)?;
    (len <= MAX_PRICE_DIGITS).then_some((Seconds(secs), len))
}

/// Digits as JSON has them: at least one, and no zero before others.
fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let (value, len) = digits_after(0, text);
    (len == 1 || (len > 1 && text[0] != b'0')).then_some((value, len))
}

/// Goes on with a number; the value means something only up to 15 digits in all.
fn digits_after(mut value: u64, text: &[u8]) -> (u64, usize) {
    let mut len = 0;
    // An epoch has ten digits, so eight of them at once are most of it.
    if let Some(first) = text.first_chunk().and_then(eight_digits) {
        value = value.wrapping_mul(100_000_000).wrapping_add(first);
        len = 8;
    }
    while let Some(digit) = text.get(len).map(|byte| byte.wrapping_sub(b'0')).filter(|d| *d < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        len += 1;
    }
    (value, len)
}

/// Eight bytes as a number, if all of them are digits.
///
/// The digits stay beside each other in one register: neighbours are joined into pairs, pairs into
/// fours, and those into the whole.
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    const HIGH_HALVES: u64 = u64::from_le_bytes([0xf0; 8]);
    const BEYOND_NINE: u64 = u64::from_le_bytes([6; 8]);
    const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;
    const FOURS: u64 = 0x0000_ffff_0000_ffff;
    let bytes = u64::from_le_bytes(*text);
    let is_in_row = |bytes: u64| bytes & HIGH_HALVES == ZEROS;
    if !is_in_row(bytes) || !is_in_row(bytes.wrapping_add(BEYOND_NINE)) {
        return None;
    }
    // The first digit is the lowest byte.
    let digits = bytes - ZEROS;
    let pairs = (digits * 10 + (digits >> 8)) & PAIRS;
    let fours = (pairs * 100 + (pairs >> 16)) & FOURS;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// As [`object`], for a text that is nothing but one.
fn whole<'a>(
    text: &'a str,
    take: impl FnMut(&'a str, &mut Cursor<'a>) -> Option<()>,
) -> Option<()> {
    let mut cursor = Cursor { text, at: 0 };
    object(&mut cursor, take)?;
    cursor.space();
    (cursor.at == text.len()).then_some(())
}

/// Hands every key of an object to `take`, which passes over the value or gives up.
fn object<'a>(
    cursor: &mut Cursor<'a>,
    mut take: impl FnMut(&'a str, &mut Cursor<'a>) -> Option<()>,
) -> Option<()> {
    cursor.pass(b'{')?;
    loop {
        let key = cursor.key()?;
        cursor.pass(b':')?;
        take(key, cursor)?;
        if cursor.pass(b',').is_none() {
            return cursor.pass(b'}');
        }
    }
}

/// Notices what is said twice, which is nothing usual.
#[derive(Default)]
struct Once([bool; 4]);

impl Once {
    fn note(&mut self, place: usize) -> Option<()> {
        let was_seen = std::mem::replace(self.0.get_mut(place)?, true);
        (!was_seen).then_some(())
    }

    fn read<'a, T: serde::Deserialize<'a>>(&mut self, place: usize, value: &'a str) -> Option<T> {
        self.note(place)?;
        serde_json::from_str(value).ok()
    }
}

/// A place in a text.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.byte().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Goes on behind `wanted` and the space before it, if it is there.
    fn pass(&mut self, wanted: u8) -> Option<()> {
        self.space();
        (self.byte()? == wanted).then(|| self.at += 1)
    }

    /// A string of letters, digits and the like.
    fn key(&mut self) -> Option<&'a str> {
        self.pass(b'"')?;
        let rest = &self.text[self.at..];
        let len = rest.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'_')?;
        self.at += len + 1;
        (rest.as_bytes()[len] == b'"').then(|| &rest[..len])
    }

    /// An array of numbers that has no spaces in it.
    fn numbers<T>(
        &mut self,
        read: fn(&[u8]) -> Option<(T, usize)>,
        n_guessed: usize,
    ) -> Option<Vec<T>> {
        self.pass(b'[')?;
        let mut numbers = Vec::with_capacity(n_guessed);
        let mut rest = &self.text.as_bytes()[self.at..];
        while rest.first() != Some(&b']') {
            let (number, len) = read(rest)?;
            numbers.push(number);
            rest = match rest.get(len..)? {
                // Another number has to follow.
                [b',', rest @ ..] if rest.first() != Some(&b']') => rest,
                rest @ [b']', ..] => rest,
                _ => return None,
            };
        }
        self.at = self.text.len() - rest.len() + 1;
        Some(numbers)
    }

    /// The text of one value, whatever it is.
    fn value(&mut self) -> Option<&'a str> {
        self.space();
        let start = self.at;
        match self.byte()? {
            b'"' => self.quoted()?,
            b'[' | b'{' => self.nested()?,
            _ => {
                let rest = &self.text[self.at..];
                self.at += rest.find([',', '}', ']', '"', ':'])?;
            }
        }
        self.text.get(start..self.at)
    }

    /// Passes over a string, escapes and all.
    fn quoted(&mut self) -> Option<()> {
        loop {
            self.at += 1;
            match self.byte()? {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.at += 1;
        Some(())
    }

    /// Passes over an array or object and all that is in it.
    fn nested(&mut self) -> Option<()> {
        let mut depth = 0_u32;
        loop {
            self.plain();
            match self.byte()? {
                b'"' => {
                    self.quoted()?;
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Passes over blocks that neither begin nor end anything.
    fn plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let (blocks, _) = rest.as_chunks::<BLOCK_BYTES>();
        // Without branches inside, the compiler looks at a whole block at once.
        let is_plain = |block: &&[u8; BLOCK_BYTES]| {
            !block.iter().fold(false, |found, byte| found | is_structure(*byte))
        };
        let n_plain = blocks.iter().take_while(is_plain).count();
        self.at += n_plain * BLOCK_BYTES;
        let rest = rest.get(n_plain * BLOCK_BYTES..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| !is_structure(**byte)).count();
    }
}

/// Brackets, braces and quotes. The two of a pair differ from the other pair in one bit.
fn is_structure(byte: u8) -> bool {
    let folded = byte | 0x20;
    (folded == b'{') | (folded == b'}') | (byte == b'"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::deriv::wire::{read_envelope, read_history};

    /// What decides whose message it is.
    fn heart(envelope: &Envelope) -> (Option<u64>, &str, bool, Option<&str>) {
        let subscription = envelope.subscription.as_ref().map(|given| given.id.as_str());
        let Envelope { req_id, msg_type, error, .. } = envelope;
        (req_id.0, msg_type.as_str(), error.is_some(), subscription)
    }

    fn check(text: &str) {
        let slow = read_envelope(text).ok();
        let quick = envelope(text);
        assert!(quick.is_some(), "{text}");
        assert_eq!(quick.as_ref().map(heart), slow.as_ref().map(heart), "{text}");
    }

    #[test]
    fn sees_what_a_whole_reading_sees() {
        let prices = vec!["1234.56"; 500].join(",");
        check(&format!(
            r#"{{"echo_req":{{"ticks_history":"R_100","req_id":1}},"history":{{"prices":[{prices}],"times":[1,2]}},"msg_type":"history","pip_size":2,"req_id":77}}"#
        ));
        check(r#"{"req_id":7,"a":"}\"]{","b":[["[",{"]":1}]],"msg_type":"tick"}"#);
        check("{ \"a\" : [ ] , \"error\" : { \"code\" : \"x\" } }\n");
        check(r#"{"error":null,"subscription":{"id":"abc"},"req_id":"12"}"#);
        check(r#"{"msg_type":5,"n":-1.5e3,"t":true,"req_id":{}}"#);
    }

    #[test]
    fn leaves_what_is_unusual_to_others() {
        for odd in [
            "",
            "[]",
            "{}",
            r#"{"req_id":7"#,
            r#"{"req_id":7}}"#,
            r#"{"req_id":7} x"#,
            r#"{"req_id":7,"req_id":8}"#,
            r#"{"req\u005fid":7}"#,
            r#"{"a":[1,2,"req_id":7}"#,
            r#"{"a":"x,"req_id":7}"#,
            r#"{"req_id":}"#,
            r#"{"req_id":7,}"#,
        ] {
            assert!(envelope(odd).is_none(), "{odd}");
        }
        assert!(envelope(&format!("{{\"a\":{}", "[".repeat(1_000_000))).is_none());
    }

    const PAGE: &str = r#"{"echo_req":{"start":1,"ticks_history":"R_100"},"history":{"prices":[1.50,2.5,0.25,616],"times":[1,2,1786147200,0]},"msg_type":"history","req_id":7,"pip_size":2}"#;

    #[test]
    fn reads_a_page_as_the_slow_reader_does() {
        let quick = history(PAGE).map(|answer| format!("{answer:?}"));
        assert_eq!(quick, read_history(PAGE).ok().map(|answer| format!("{answer:?}")));
        assert!(history(r#"{"error":{"code":"x","message":"y"},"req_id":1}"#).is_some());
        assert!(history(r#"{"history":{"prices":[],"times":[]}}"#).is_some());
        for odd in ["1.", ".5", "01.5", "-1", "1e5", "1 ", "\"1.5\"", "null", "1,", ",1", "1.5.5"] {
            let text = format!(r#"{{"history":{{"prices":[{odd}],"times":[1]}}}}"#);
            assert!(history(&text).is_none(), "{odd}");
        }
        let sixteen = r#"{"history":{"prices":[1.234567890123456],"times":[1]}}"#;
        assert!(history(sixteen).is_none());
    }

    proptest! {
        /// Damage never changes whose message it is taken for, as long as both can read it.
        #[test]
        fn agrees_with_a_whole_reading(at in 0..PAGE.len(), byte in 0u8..128) {
            let text = damaged(at, byte);
            if let (Some(quick), Ok(slow)) = (envelope(&text), read_envelope(&text)) {
                prop_assert_eq!(heart(&quick), heart(&slow), "{}", text);
            }
        }

        /// Whatever the quick reader takes, the slow one takes, and for the same.
        #[test]
        fn takes_only_what_the_slow_reader_takes(at in 0..PAGE.len(), byte in 0u8..128) {
            let text = damaged(at, byte);
            if let Some(quick) = history(&text) {
                let slow = read_history(&text).map(|answer| format!("{answer:?}")).ok();
                prop_assert_eq!(Some(format!("{quick:?}")), slow, "{}", text);
            }
        }

        #[test]
        fn prices_are_the_nearest_double(whole in 0u64..1_000_000_000_000_000, decimals in 0usize..15) {
            let digits = format!("{whole:0width$}", width = decimals + 1);
            let (front, back) = digits.split_at(digits.len() - decimals);
            let text = if back.is_empty() { front.to_owned() } else { format!("{front}.{back}") };
            let expected: f64 = text.parse().unwrap();
            let (Number(found), len) = price(text.as_bytes()).unwrap();
            prop_assert_eq!((found.to_bits(), len), (expected.to_bits(), text.len()));
        }
    }

    proptest! {
        /// Any eight bytes, near digits or not, are a number only if each is a digit.
        #[test]
        fn eight_digits_are_read_at_once(bytes in proptest::array::uniform8(b'*'..b'@')) {
            let text = std::str::from_utf8(&bytes).unwrap();
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(eight_digits(&bytes), is_number.then(|| text.parse().unwrap()));
        }

        #[test]
        fn digits_are_read_however_many(value in 0u64..1_000_000_000_000_000, rest in "[,.a]{0,9}") {
            let (text, n_digits) = (format!("{value}{rest}"), value.to_string().len());
            prop_assert_eq!(digits(text.as_bytes()), Some((value, n_digits)));
        }
    }

    fn damaged(at: usize, byte: u8) -> String {
        let mut bytes = PAGE.as_bytes().to_vec();
        bytes[at] = byte;
        String::from_utf8(bytes).unwrap()
    }
}
