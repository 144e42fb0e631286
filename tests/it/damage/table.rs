//! What can happen to an archive, and what `verify --deep` has to say of it.

use std::fs;

use serde_json::json;

use super::site::{CANDLES, Site, TICKS};

/// One kind of damage.
pub(crate) struct Damage {
    pub(crate) name: &'static str,
    pub(crate) inflict: fn(&Site),
    /// `severity kind place`, all that is found and nothing else; places are those of the files.
    pub(crate) found: &'static [&'static str],
}

macro_rules! damages {
    ($($name:literal: $inflict:expr => $($found:literal),+;)+) => {
        &[$(Damage { name: $name, inflict: $inflict, found: &[$($found),+] },)+]
    };
}

/// Every kind of damage to bytes and to whole files.
pub(crate) static OF_FILES: &[Damage] = damages! {
    "a byte of a data page":
        |s| s.flip(&s.parquet(TICKS), |bytes| bytes.len() / 2)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error rows_hash R_100/ticks/2026-03.parquet";
    "a byte of a page header":
        |s| s.flip(&s.parquet(TICKS), |_| 5)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet",
           "info candle_mismatch R_100/candles_60/2026-03.parquet";
    "a byte of the footer":
        |s| s.flip(&s.parquet(TICKS), |bytes| bytes.len() - 9)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet";
    "a byte of a value in the footer":
        |s| s.flip(&s.parquet(TICKS), |b| find(b, b"titan.rows_sha256") + 24)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "the length of the footer":
        |s| s.flip(&s.parquet(TICKS), |bytes| bytes.len() - 8)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet";
    "the magic at the head":
        |s| s.flip(&s.parquet(TICKS), |_| 0)
        => "error file_hash R_100/ticks/2026-03.metadata.json";
    "the magic at the end":
        |s| s.flip(&s.parquet(TICKS), |bytes| bytes.len() - 1)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet";
    "a byte of the sidecar":
        |s| s.flip(&s.sidecar(TICKS), |b| find(b, b"\"rows_sha256\": \"") + 20)
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a sidecar cut in half":
        |s| {
            let bytes = fs::read(s.sidecar(TICKS)).unwrap();
            fs::write(s.sidecar(TICKS), &bytes[..bytes.len() / 2]).unwrap();
        }
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a file cut in half":
        |s| {
            let bytes = fs::read(s.parquet(TICKS)).unwrap();
            fs::write(s.parquet(TICKS), &bytes[..bytes.len() / 2]).unwrap();
        }
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet";
    "an empty file":
        |s| fs::write(s.parquet(TICKS), "").unwrap()
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet";
    "a file that is no Parquet":
        |s| fs::write(s.parquet(CANDLES), "epoch,open\n1,2\n").unwrap()
        => "error file_hash R_100/candles_60/2026-03.metadata.json",
           "error sidecar_mismatch R_100/candles_60/2026-03.metadata.json",
           "error unreadable R_100/candles_60/2026-03.parquet";
    "a folder in the place of a file":
        |s| {
            fs::remove_file(s.parquet(TICKS)).unwrap();
            fs::create_dir(s.parquet(TICKS)).unwrap();
        }
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "error unreadable R_100/ticks/2026-03.parquet";
    "a file of another tool":
        |s| s.drop_footer(TICKS)
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "warning foreign_rows R_100/ticks/2026-03.parquet";
    "a file renamed to another symbol":
        |s| s.move_to(CANDLES, "R_50/candles_60/2026-03")
        => "error footer_mismatch R_50/candles_60/2026-03.parquet",
           "error partition_missing R_100/candles_60/2026-03.parquet",
           "error sidecar_mismatch R_50/candles_60/2026-03.metadata.json";
    "a file renamed to another month":
        |s| s.move_to(CANDLES, "R_100/candles_60/2026-01")
        => "error footer_mismatch R_100/candles_60/2026-01.parquet",
           "error illegal_state R_100/candles_60/2026-01.metadata.json",
           "error outside_month R_100/candles_60/2026-01.parquet",
           "error partition_missing R_100/candles_60/2026-03.parquet",
           "error sidecar_mismatch R_100/candles_60/2026-01.metadata.json";
    "a file renamed to another kind":
        |s| s.move_to(CANDLES, "R_100/candles_120/2026-03")
        => "error footer_mismatch R_100/candles_120/2026-03.parquet",
           "error partition_missing R_100/candles_60/2026-03.parquet",
           "warning misaligned R_100/candles_120/2026-03.parquet",
           "error sidecar_mismatch R_100/candles_120/2026-03.metadata.json",
           "info candle_mismatch R_100/candles_120/2026-03.parquet";
    "ticks in the place of candles":
        |s| s.move_to(TICKS, CANDLES)
        => "error footer_mismatch R_100/candles_60/2026-03.parquet",
           "error partition_missing R_100/ticks/2026-03.parquet",
           "error schema R_100/candles_60/2026-03.parquet",
           "error sidecar_mismatch R_100/candles_60/2026-03.metadata.json";
    "a sidecar that is gone":
        |s| fs::remove_file(s.sidecar(TICKS)).unwrap()
        => "error sidecar_missing R_100/ticks/2026-03.parquet";
    "a file that is gone":
        |s| fs::remove_file(s.parquet(CANDLES)).unwrap()
        => "error sidecar_mismatch R_100/candles_60/2026-03.metadata.json";
    "a link in the place of a file":
        |s| s.link_away(&s.parquet(TICKS))
        => "error stranger R_100/ticks/2026-03.parquet";
    "a stranger":
        |s| s.write("R_100/ticks/notes.txt", "mine")
        => "info stranger R_100/ticks/notes.txt";
    "a stranger that readers take for a month":
        |s| s.write("R_100/ticks/2026-03.tmp.parquet", "")
        => "warning stranger R_100/ticks/2026-03.tmp.parquet";
    "a draft that was left":
        |s| s.write("R_100/ticks/.2026-03.parquet.7-1.titan-tmp", "half")
        => "info leftover R_100/ticks/.2026-03.parquet.7-1.titan-tmp";
    "answers that wait in the staging":
        |s| s.write(".titan/staging/R_100/ticks/2026-03/1-2.segment", "rows")
        => "info leftover R_100 ticks 2026-03";
    "a file in quarantine":
        |s| s.write(".titan/quarantine/R_100/ticks/2026-03.parquet", "bad")
        => "info leftover .titan/quarantine";
};

/// Every kind of damage to what is said of the rows.
pub(crate) static OF_WORDS: &[Damage] = damages! {
    "a wrong hash in the footer":
        |s| s.forge_footer(TICKS, "rows_sha256", |hash| hash.replace(&hash[..2], "zz"))
        => "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a wrong hash of a day":
        |s| s.forge_footer(TICKS, "days", |days| days.replacen("\"rows_sha256\":\"", "\"rows_sha256\":\"0", 1))
        => "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a wrong count in the footer":
        |s| s.forge_footer(TICKS, "record_count", |_| "7".to_owned())
        => "error record_count R_100/ticks/2026-03.parquet";
    "a wrong hash of the file":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["sha256"] = "00".into())
        => "error file_hash R_100/ticks/2026-03.metadata.json";
    "a wrong count in the sidecar":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["record_count"] = 7.into())
        => "error record_count R_100/ticks/2026-03.metadata.json";
    "a wrong size in the sidecar":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["file_size"] = 7.into())
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a hash that was taken out":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["sha256"] = json!(null))
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a stale sidecar":
        |s| fs::write(s.sidecar(TICKS), &s.stale).unwrap()
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error record_count R_100/ticks/2026-03.metadata.json",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "the sidecar of another partition":
        |s| {
            fs::copy(s.sidecar("R_100/ticks/2026-02"), s.sidecar(TICKS)).unwrap();
        }
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error illegal_state R_100/ticks/2026-03.metadata.json",
           "error record_count R_100/ticks/2026-03.metadata.json",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "coverage in the footer of what was never asked":
        |s| s.forge_footer(TICKS, "coverage", |text| text.replace("1772344800", "1772431200"))
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "warning feed_silent R_100/ticks/2026-03.parquet";
    "coverage in the sidecar of what was never asked":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["coverage"][0]["end"] = 1_772_431_200.into())
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "coverage in both of what was never asked":
        |s| {
            s.forge_footer(TICKS, "coverage", |text| text.replace("1772344800", "1772884800"));
            s.edit_sidecar(TICKS, |sidecar| sidecar["coverage"][0]["end"] = 1_772_884_800.into());
        }
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "warning feed_silent R_100/ticks/2026-03.parquet";
    "coverage of less than the rows":
        |s| {
            s.forge_footer(TICKS, "coverage", |text| text.replace("1772344800", "1772341200"));
            s.edit_sidecar(TICKS, |sidecar| sidecar["coverage"][0]["end"] = 1_772_341_200.into());
        }
        => "error outside_coverage R_100/ticks/2026-03.parquet";
    "coverage beyond the month":
        |s| s.forge_footer(TICKS, "coverage", |text| text.replace("1772323200", "1772323100"))
        => "error footer_mismatch R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "coverage in pieces that touch":
        |s| s.forge_footer(TICKS, "coverage", |_| {
            r#"[{"start":1772323200,"end":1772330000,"state":"answered"},{"start":1772330000,"end":1772344800,"state":"answered"}]"#.to_owned()
        })
        => "error footer_mismatch R_100/ticks/2026-03.parquet";
    "coverage that overlaps":
        |s| s.edit_sidecar(TICKS, |sidecar| {
            let whole = sidecar["coverage"][0].clone();
            sidecar["coverage"].as_array_mut().unwrap().push(whole);
        })
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "coverage that failed":
        |s| {
            s.forge_footer(CANDLES, "coverage", |text| text.replace(
                "1772344800,\"state\":\"answered\"}",
                "1772344800,\"state\":\"answered\"},{\"start\":1772344800,\"end\":1772348400,\"state\":\"failed\"}",
            ));
            s.edit_sidecar(CANDLES, |sidecar| {
                let failed = json!({"start": 1_772_344_800, "end": 1_772_348_400, "state": "failed",
                    "asked_first": null, "asked_last": null});
                sidecar["coverage"].as_array_mut().unwrap().push(failed);
            });
        }
        => "error coverage_missing R_100/candles_60/2026-03.metadata.json";
    "answers that came before they were asked for":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["coverage"][0]["asked_last"] = 7.into())
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a gap where there are rows":
        |s| s.edit_sidecar(TICKS, |sidecar| {
            let gap = json!({"start": 1_772_330_001, "end": 1_772_330_100, "missing_estimate": 49,
                "class": "within_page"});
            sidecar["gaps"] = json!([gap]);
        })
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a month sealed while it runs":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["state"] = "sealed".into())
        => "error illegal_state R_100/ticks/2026-03.metadata.json";
    "a month open for ever":
        |s| s.edit_sidecar("R_100/ticks/2026-02", |sidecar| sidecar["state"] = "open".into())
        => "error illegal_state R_100/ticks/2026-02.metadata.json";
    "a locked month":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["locked"] = true.into())
        => "info locked R_100/ticks/2026-03.metadata.json";
    "a footer of an unknown version":
        |s| s.forge_footer(TICKS, "format_version", |_| "99".to_owned())
        => "error undecodable R_100/ticks/2026-03.parquet";
    "a sidecar of an unknown version":
        |s| s.edit_sidecar(TICKS, |sidecar| sidecar["format_version"] = 99.into())
        => "error undecodable R_100/ticks/2026-03.metadata.json";
};

/// Every kind of damage to rows.
pub(crate) static OF_ROWS: &[Damage] = damages! {
    "a row dropped":
        |s| s.damage_rows(TICKS, |rows| drop(rows.remove(5000)))
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error record_count R_100/ticks/2026-03.metadata.json",
           "error record_count R_100/ticks/2026-03.parquet",
           "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json";
    "a row doubled":
        |s| s.damage_rows(TICKS, |rows| rows.insert(5000, rows[5000].clone()))
        => "error duplicate_row R_100/ticks/2026-03.parquet",
           "error file_hash R_100/ticks/2026-03.metadata.json",
           "error record_count R_100/ticks/2026-03.metadata.json",
           "error record_count R_100/ticks/2026-03.parquet",
           "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "info candle_mismatch R_100/candles_60/2026-03.parquet";
    "two rows swapped":
        |s| s.damage_rows(TICKS, |rows| rows.swap(5000, 5001))
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "error unsorted R_100/ticks/2026-03.parquet",
           "info candle_mismatch R_100/candles_60/2026-03.parquet";
    "a row altered":
        |s| s.damage_rows(TICKS, |rows| rows[5000].1[0] = 1000.01)
        => "error file_hash R_100/ticks/2026-03.metadata.json",
           "error rows_hash R_100/ticks/2026-03.parquet",
           "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "warning candle_mismatch R_100/candles_60/2026-03.parquet",
           "warning spike R_100/ticks/2026-03.parquet";
    "a row doubled, and forged":
        |s| s.forge_rows(TICKS, |rows| rows.insert(5000, rows[5000].clone()))
        => "error duplicate_row R_100/ticks/2026-03.parquet",
           "info candle_mismatch R_100/candles_60/2026-03.parquet";
    "two rows swapped, and forged":
        |s| s.forge_rows(TICKS, |rows| rows.swap(5000, 5001))
        => "error unsorted R_100/ticks/2026-03.parquet",
           "info candle_mismatch R_100/candles_60/2026-03.parquet";
    "an hour of ticks dropped, and forged":
        |s| s.forge_rows(TICKS, |rows| drop(rows.drain(3600..5400)))
        => "error sidecar_mismatch R_100/ticks/2026-03.metadata.json",
           "error ticks_missing R_100/candles_60/2026-03.parquet",
           "warning feed_silent R_100/ticks/2026-03.parquet";
    "a candle dropped, and forged":
        |s| s.forge_rows(CANDLES, |rows| drop(rows.remove(100)))
        => "error candle_missing R_100/candles_60/2026-03.parquet",
           "error sidecar_mismatch R_100/candles_60/2026-03.metadata.json";
    "a candle altered, and forged":
        |s| s.forge_rows(CANDLES, |rows| rows[100].1[1] = (rows[100].1[1] + 1.0).round())
        => "warning candle_mismatch R_100/candles_60/2026-03.parquet";
    "a bad price, and forged":
        |s| s.forge_rows(TICKS, |rows| rows[5000].1[0] = 9999.99)
        => "warning candle_mismatch R_100/candles_60/2026-03.parquet",
           "warning spike R_100/ticks/2026-03.parquet";
    "a price that stands still, and forged":
        |s| s.forge_rows(TICKS, |rows| {
            let price = rows[5000].1[0];
            rows[5000..5200].iter_mut().for_each(|row| row.1[0] = price);
        })
        => "warning candle_mismatch R_100/candles_60/2026-03.parquet",
           "warning frozen_run R_100/ticks/2026-03.parquet",
           "warning spike R_100/ticks/2026-03.parquet";
    "prices rounded, and forged":
        |s| s.forge_rows(TICKS, |rows| {
            rows[5000..].iter_mut().for_each(|row| row.1[0] = row.1[0].round());
        })
        => "warning candle_mismatch R_100/candles_60/2026-03.parquet",
           "warning grid_change R_100/ticks/2026-03.parquet";
    "a month shifted, and forged":
        |s| s.forge_rows(CANDLES, |rows| rows.iter_mut().for_each(|row| row.0 += 31 * 86_400))
        => "error candle_missing R_100/candles_60/2026-03.parquet",
           "error outside_coverage R_100/candles_60/2026-03.parquet",
           "error outside_month R_100/candles_60/2026-03.parquet",
           "warning feed_silent R_100/candles_60/2026-03.parquet";
    "a row of the next month, and forged":
        |s| s.forge_rows(TICKS, |rows| rows.push((1_775_001_600, vec![1000.0])))
        => "error outside_coverage R_100/ticks/2026-03.parquet",
           "error outside_month R_100/ticks/2026-03.parquet";
    "a candle off its grid, and forged":
        |s| s.forge_rows(CANDLES, |rows| rows[100].0 += 1)
        => "warning misaligned R_100/candles_60/2026-03.parquet",
           "error sidecar_mismatch R_100/candles_60/2026-03.metadata.json",
           "info candle_mismatch R_100/candles_60/2026-03.parquet";
    "a high below the close, and forged":
        |s| s.forge_rows(CANDLES, |rows| rows[100].1[1] = 1.0)
        => "warning candle_shape R_100/candles_60/2026-03.parquet",
           "warning candle_mismatch R_100/candles_60/2026-03.parquet";
    "a price off the grid, and forged":
        |s| s.forge_rows(TICKS, |rows| rows[5000].1[0] += 0.001)
        => "warning off_grid R_100/ticks/2026-03.parquet";
    "a negative price, and forged":
        |s| s.forge_rows(TICKS, |rows| rows[5000].1[0] = -1.0)
        => "error bad_price R_100/ticks/2026-03.parquet",
           "warning candle_mismatch R_100/candles_60/2026-03.parquet";
    "a price that is no number, and forged":
        |s| s.forge_rows(TICKS, |rows| rows[5000].1[0] = f64::NAN)
        => "error bad_price R_100/ticks/2026-03.parquet";
};

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}
