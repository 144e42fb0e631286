//! Which place wins: all combinations of the four of them, for every shape of option.

use std::path::PathBuf;

use super::super::super::config;
use super::super::{Keys, Parsed, Typed};
use super::*;

/// Places in which an option may be set, as lines of each.
#[derive(Debug, Clone, Default)]
struct Places {
    typed: Vec<String>,
    environment: Vec<(String, String)>,
    env_file: Vec<(String, String)>,
    file: String,
}

impl Places {
    fn typed(line: &str) -> Self {
        let typed = line.split_whitespace().map(str::to_owned).collect();
        Self { typed, ..Self::default() }
    }

    fn environment(mut self, lines: &str) -> Self {
        self.environment = pairs(lines);
        self
    }

    fn env_file(mut self, lines: &str) -> Self {
        self.env_file = pairs(lines);
        self
    }

    fn file(mut self, text: &str) -> Self {
        text.clone_into(&mut self.file);
        self
    }

    fn read(&self) -> Result<Parsed, String> {
        let said = |failure: Failure| format!("{} ({})", failure.error, failure.hint.unwrap());
        let map = |pairs: &[(String, String)]| {
            pairs.iter().map(|(name, value)| (name.clone(), OsString::from(value))).collect()
        };
        let words = std::iter::once("titan-download".to_owned()).chain(self.typed.clone());
        let typed = Typed::read(words.map(OsString::from).collect()).map_err(|e| e.to_string())?;
        let variables = Variables {
            environment: map(&self.environment),
            env_file: map(&self.env_file),
            ..Variables::default()
        };
        let file = config::parse("titan.toml", &self.file, &Keys::all()).map_err(said)?;
        typed.over(Layers { variables, file: Some(file) }).map_err(said)
    }

    #[track_caller]
    fn parsed(&self) -> Parsed {
        self.read().unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }
}

fn pairs(lines: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.trim().split_once('=').map(|(n, v)| (n.into(), v.into()));
    lines.split(';').filter_map(pair).collect()
}

/// All combinations: the first place that says anything is the one that counts, and is named.
#[test]
fn the_first_place_that_speaks_wins() {
    for n in 0..3 * 3 * 3 * 2u8 {
        let says = [n % 2, n / 2 % 3, n / 6 % 3, n / 18];
        // In each place: 0 says nothing, 1 says it, 2 says something empty, which is nothing.
        let [typed, environment, env_file, file] = says;
        let mut places = Places::default();
        if typed == 1 {
            places = Places::typed("--rate 10 --kind ticks --no-resume");
        }
        let variables = |says: u8, rate: &str, kind: &str, flag: &str| match says {
            0 => Vec::new(),
            1 => pairs(&format!("TITAN_RATE={rate};TITAN_KIND={kind};TITAN_NO_RESUME={flag}")),
            _ => pairs("TITAN_RATE=;TITAN_KIND= ;TITAN_NO_RESUME="),
        };
        places.environment = variables(environment, "20", "candles", "no");
        places.env_file = variables(env_file, "30", "ticks,candles,", "yes");
        places.file = match file {
            0 => String::new(),
            1 => "rate = 40\nkind = [\"candles\", \"ticks\"]\nno-resume = false\n".to_owned(),
            _ => "rate = \"\"\nkind = []\n".to_owned(),
        };
        let parsed = places.parsed();
        let line = |line| Origin::ConfigFile { path: "titan.toml".into(), line };
        let (rate, kinds, flag, origins) = if typed == 1 {
            (Some("10"), vec!["ticks"], true, [Origin::Flag, Origin::Flag, Origin::Flag])
        } else if environment == 1 {
            let origins = [Origin::Environment, Origin::Environment, Origin::Environment];
            (Some("20"), vec!["candles"], false, origins)
        } else if env_file == 1 {
            let origins = [Origin::EnvFile, Origin::EnvFile, Origin::EnvFile];
            (Some("30"), vec!["ticks", "candles", ""], true, origins)
        } else if file == 1 {
            (Some("40"), vec!["candles", "ticks"], false, [line(1), line(2), line(3)])
        } else {
            let none = [Origin::Default, Origin::Default, Origin::Default];
            (None, vec!["ticks", "candles"], false, none)
        };
        let args = &parsed.cli.download;
        assert_eq!(args.pace.rate.as_deref(), rate, "{places:?}");
        assert_eq!(args.what.kinds, kinds, "{places:?}");
        assert_eq!(args.place.no_resume, flag, "{places:?}");
        let found = ["rate", "kind", "no-resume"].map(|option| parsed.origins.of(option).clone());
        assert_eq!(found, origins, "{places:?}");
    }
}

#[test]
fn every_shape_of_option_comes_from_every_place() {
    let check = |places: Places| {
        let args = places.parsed().cli.download;
        assert_eq!(args.talk.verbose, 2, "{places:?}");
        assert_eq!(args.place.output, PathBuf::from("x y"), "{places:?}");
        assert!(args.place.source.demo && args.place.source.insecure_ws, "{places:?}");
        assert_eq!(args.what.granularities, ["60", "3600"], "{places:?}");
    };
    let variables = "TITAN_VERBOSE=2;TITAN_OUTPUT=x y;TITAN_DEMO=On;TITAN_INSECURE_WS=1;TITAN_GRANULARITY=60,3600";
    check(Places::default().environment(variables));
    check(Places::default().env_file(variables));
    check(Places::default().file(
        "verbose = 2\noutput = 'x y'\ndemo = true\ninsecure-ws = true\ngranularity = [60, 3600]",
    ));
}

#[test]
fn other_commands_read_what_they_know() {
    let places = Places::typed("verify --fast").file("output = 'far'\nrate = 5\nquiet = true");
    let Some(super::super::Command::Verify(args)) = places.parsed().cli.command else { panic!() };
    assert_eq!(args.output, PathBuf::from("far"));
    assert!(args.talk.quiet && args.fast);
    let places = Places::typed("status --output near").environment("TITAN_OUTPUT=far");
    let Some(super::super::Command::Status(args)) = places.parsed().cli.command else { panic!() };
    assert_eq!(args.output, PathBuf::from("near"));
}

#[test]
fn the_highest_place_that_speaks_of_the_time_says_all_of_it() {
    let file = "start-date = '2026-01-01'\nend-date = '2026-02-01'";
    let window = |places: Places| {
        let what = places.parsed().cli.download.what;
        (what.months, what.start_date, what.end_date, what.test)
    };
    let text = |text: &str| Some(text.to_owned());
    let typed = window(Places::typed("--months 3").file(file));
    assert_eq!(typed, (text("3"), None, None, false));
    let places = Places::typed("--start-date 2026-03-01").file(file);
    assert_eq!(window(places), (None, text("2026-03-01"), None, false));
    let places = Places::default().environment("TITAN_TEST=yes").env_file("TITAN_MONTHS=2");
    assert_eq!(window(places.clone().file(file)), (None, None, None, true));
    // Saying no says nothing of the time, but it does contradict the yes below.
    let places = Places::default().environment("TITAN_TEST=no");
    assert_eq!(window(places.clone().file("test = true")), (None, None, None, false));
    let both = (None, text("2026-01-01"), text("2026-02-01"), false);
    assert_eq!(window(places.file(file)), both);
}

#[test]
fn rivals_of_one_place_are_an_error_and_those_below_are_silent() {
    let check = |places: Places, message: &str| assert_eq!(places.read().unwrap_err(), message);
    check(
        Places::default().file("months = 1\nstart-date = 2026-01-01"),
        "`months` in `titan.toml` line 1 and `start-date` in `titan.toml` line 2 exclude each other (keep one of them)",
    );
    check(
        Places::default().environment("TITAN_QUIET=1;TITAN_VERBOSE=1"),
        "`TITAN_QUIET` and `TITAN_VERBOSE` exclude each other (keep one of them)",
    );
    check(
        Places::default().env_file("TITAN_DEMO=1;TITAN_ENDPOINT=ws://127.0.0.1:1"),
        "`TITAN_ENDPOINT` in `.env` and `TITAN_DEMO` in `.env` exclude each other (keep one of them)",
    );
    let file = "endpoint = 'ws://127.0.0.1:1'\nverbose = 2";
    let places = Places::typed("--demo -q").file(file).environment("TITAN_VERBOSE=1");
    let args = places.parsed().cli.download;
    assert!(args.place.source.demo && args.place.source.endpoint.is_none());
    assert!(args.talk.quiet && args.talk.verbose == 0);
    let args = Places::default().environment("TITAN_DEMO=no").file(file).parsed().cli.download;
    assert_eq!(args.place.source.endpoint.as_deref(), Some("ws://127.0.0.1:1"));
}

#[test]
fn bad_values_name_their_place() {
    let check = |places: Places, message: &str| assert_eq!(places.read().unwrap_err(), message);
    check(
        Places::default().environment("TITAN_QUIET=maybe"),
        "cannot read `TITAN_QUIET`: `maybe` is neither yes nor no (write `true` or `false`)",
    );
    check(
        Places::default().env_file("TITAN_VERBOSE=much"),
        "cannot read `TITAN_VERBOSE` in `.env`: `much` is not a small number (write a number from 0 to 3)",
    );
    // Whoever types an option does not care what else is set.
    assert!(Places::typed("-q").environment("TITAN_QUIET=maybe").parsed().cli.download.talk.quiet);
}

#[cfg(unix)]
#[test]
fn bytes_that_are_no_text_are_refused_but_as_names() {
    use std::os::unix::ffi::OsStringExt;
    let with = |name: &str| {
        let typed = Typed::read(vec!["titan-download".into()]).unwrap();
        let mut variables = Variables::default();
        variables.environment.insert(name.to_owned(), OsString::from_vec(vec![b'x', 0xff]));
        typed.over(Layers { variables, file: None })
    };
    let failure = with("TITAN_RATE").unwrap_err();
    assert_eq!(failure.error.to_string(), "cannot read `TITAN_RATE`: it is not UTF-8");
    let output = with("TITAN_OUTPUT").unwrap().cli.download.place.output;
    assert_eq!(output.into_os_string().into_vec(), [b'x', 0xff]);
}
