//! The page of `report` in a real browser: on a phone and on a desk, by day and by night, and on
//! paper. Where no Chromium is installed the test says so and ends. With `TITAN_SCREENSHOTS=FOLDER`
//! it leaves there what it saw, and with `TITAN_PAGE=FILE` it looks at that page, by its whole path.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::process::Running;
use crate::report;

/// Longer than a browser takes to start or to draw on a busy machine.
const AT_MOST: Duration = Duration::from_secs(60);

/// A browser that asks nobody but us.
struct Browser {
    socket: WebSocketStream<TcpStream>,
    n_calls: u64,
    /// What was told without being asked for.
    events: Vec<Value>,
    _process: Running,
    _profile: TempDir,
}

#[allow(clippy::print_stdout, reason = "tells why a test did nothing")]
fn installed() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let runs = |name: &&str| {
        let mut command = Command::new(name);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = names.into_iter().find(runs);
    if found.is_none() {
        println!("skipped: no Chromium is installed");
    }
    found
}

impl Browser {
    async fn start(program: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running::of(command.spawn().unwrap());
        let (port, path) = address(profile.path()).await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Self { socket, n_calls: 0, events: Vec::new(), _process: process, _profile: profile }
    }

    /// The next message that answers `id`, or is the event `name`; others are kept.
    async fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        let waited = async {
            loop {
                let Message::Text(text) = self.socket.next().await.unwrap().unwrap() else {
                    continue;
                };
                let message: Value = serde_json::from_str(&text).unwrap();
                if is_it(&message) {
                    return message;
                }
                self.events.push(message);
            }
        };
        tokio::time::timeout(AT_MOST, waited).await.expect("the browser is silent")
    }

    async fn call(&mut self, tab: Option<&str>, method: &str, params: Value) -> Value {
        self.n_calls += 1;
        let id = self.n_calls;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if let Some(tab) = tab {
            call["sessionId"] = tab.into();
        }
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        let answer = self.until(|message| message["id"] == id).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Opens a page as it is seen there.
    async fn open(&mut self, page: &Path, seen: &Seen) -> String {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let tab = self.call(None, "Target.attachToTarget", attach).await;
        let tab = tab["sessionId"].as_str().unwrap().to_owned();
        let to = Some(tab.as_str());
        for domain in ["Page.enable", "Network.enable", "Log.enable", "Runtime.enable"] {
            self.call(to, domain, json!({})).await;
        }
        let metrics = json!({ "width": seen.width, "height": 844, "mobile": seen.width < 600,
            "deviceScaleFactor": 1 });
        self.call(to, "Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = json!({ "features": [
            { "name": "prefers-color-scheme", "value": seen.scheme } ] });
        self.call(to, "Emulation.setEmulatedMedia", scheme).await;
        self.events.clear();
        let url = format!("file://{}", page.display());
        self.call(to, "Page.navigate", json!({ "url": url })).await;
        let is_loaded = |event: &Value| event["method"] == "Page.loadEventFired";
        if !self.events.iter().any(is_loaded) {
            self.until(is_loaded).await;
        }
        tab
    }

    async fn look(&mut self, tab: &str) -> Value {
        let look = json!({ "expression": LOOK, "returnByValue": true });
        let looked = self.call(Some(tab), "Runtime.evaluate", look).await;
        assert!(looked["exceptionDetails"].is_null(), "{looked}");
        looked["result"]["value"].clone()
    }
}

/// Where a browser that has just been started listens.
async fn address(profile: &Path) -> (u16, String) {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| !path.is_empty()) {
            return (port.parse().unwrap(), path.to_owned());
        }
        assert!(began.elapsed() < AT_MOST, "the browser never listened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a person would see: whether anything sticks out of the page, what is drawn, and the least
/// contrast of any text with what lies behind it.
const LOOK: &str = r"(() => {
    const seen = e => e.getClientRects().length > 0;
    const scrolls = e => e.closest('.scroll') !== null;
    const rgb = text => text.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = e => {
        for (let at = e; at; at = at.parentElement) {
            const colour = rgb(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const contrast = e => {
        const style = getComputedStyle(e);
        const text = rgb(e instanceof SVGElement ? style.fill : style.color);
        const [a, b] = [light(text), light(behind(e))].sort((x, y) => y - x);
        return (a + 0.05) / (b + 0.05);
    };
    const hasText = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim() !== '');
    // The signs of the calendar are said once more by their colour and their title.
    const texts = [...document.body.querySelectorAll('*')]
        .filter(e => seen(e) && hasText(e) && e.tagName !== 'I');
    const worst = texts.map(e => [contrast(e), e.textContent.trim().slice(0, 40)])
        .sort((x, y) => x[0] - y[0])[0];
    const wide = document.documentElement.clientWidth;
    const out = [...document.body.querySelectorAll('*')]
        .filter(e => seen(e) && !scrolls(e) && !(e.ownerSVGElement))
        .filter(e => e.getBoundingClientRect().right > wide + 0.5)
        .map(e => e.tagName + '.' + e.className);
    const letters = [...document.querySelectorAll('.chart text')].filter(seen)
        .map(e => e.getBoundingClientRect().height);
    return {
        width: wide,
        scrollWidth: document.documentElement.scrollWidth,
        out,
        charts: [...document.querySelectorAll('svg')].filter(seen).length,
        cells: [...document.querySelectorAll('.days i')].filter(seen).length,
        letters: Math.min(...letters),
        worst,
        paper: light(rgb(getComputedStyle(document.body).backgroundColor)),
    };
})()";

/// How a page is looked at.
struct Seen {
    name: &'static str,
    width: u32,
    scheme: &'static str,
}

fn screenshots() -> Option<PathBuf> {
    std::env::var_os("TITAN_SCREENSHOTS").map(PathBuf::from)
}

fn decoded(text: &str) -> Vec<u8> {
    let value = |byte| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let group = |four: &[u8]| {
        let whole = four.iter().fold(0_u32, |sum, six| sum << 6 | u32::from(*six));
        let whole = whole << (6 * (4 - four.len()));
        whole.to_be_bytes()[1..four.len()].to_vec()
    };
    bits.chunks(4).flat_map(group).collect()
}

#[tokio::test]
async fn the_page_is_readable_wherever_it_is_opened() {
    let Some(program) = installed() else { return };
    let (page, archive) = match std::env::var_os("TITAN_PAGE") {
        Some(page) => (PathBuf::from(page), None),
        None => {
            let archive = report::archive();
            archive.run(&["report", "data", "--html", "page.html"]).expect(0);
            (archive.path("page.html"), Some(archive))
        }
    };
    let mut browser = Browser::start(program).await;
    for seen in [
        Seen { name: "phone-light", width: 390, scheme: "light" },
        Seen { name: "phone-dark", width: 390, scheme: "dark" },
        Seen { name: "tablet-light", width: 768, scheme: "light" },
        Seen { name: "desk-light", width: 1280, scheme: "light" },
        Seen { name: "desk-dark", width: 1280, scheme: "dark" },
    ] {
        let tab = browser.open(&page, &seen).await;
        let looked = browser.look(&tab).await;
        assert_looks_right(&looked, &seen);
        assert_quiet(&browser.events, &page, seen.name);
        if let Some(folder) = screenshots() {
            let all = json!({ "captureBeyondViewport": true });
            let shot = browser.call(Some(&tab), "Page.captureScreenshot", all).await;
            let bytes = decoded(shot["data"].as_str().unwrap());
            fs::write(folder.join(format!("{}.png", seen.name)), bytes).unwrap();
        }
        if seen.name == "desk-dark" {
            let paper = json!({ "printBackground": true, "preferCSSPageSize": true,
                "paperWidth": 8.27, "paperHeight": 11.69 });
            let printed = browser.call(Some(&tab), "Page.printToPDF", paper).await;
            let bytes = decoded(printed["data"].as_str().unwrap());
            assert!(bytes.starts_with(b"%PDF"), "no PDF");
            if let Some(folder) = screenshots() {
                fs::write(folder.join("page.pdf"), bytes).unwrap();
            }
        }
    }
    drop(archive);
}

#[track_caller]
fn assert_looks_right(looked: &Value, seen: &Seen) {
    let name = seen.name;
    let number = |key: &str| looked[key].as_f64().unwrap_or_else(|| panic!("{name}: {looked}"));
    assert_eq!(number("width"), f64::from(seen.width), "{name}: {looked}");
    assert!(number("scrollWidth") <= number("width"), "{name} is wider than its screen: {looked}");
    assert_eq!(looked["out"], json!([]), "{name}: something sticks out");
    // Prices and rows of each series, and the runs; each once, not in both sizes.
    assert!(number("charts") >= 3.0 && number("cells") >= 28.0, "{name}: {looked}");
    if std::env::var_os("TITAN_PAGE").is_none() {
        assert_eq!(number("charts"), 7.0, "{name}: {looked}");
    }
    assert!(number("letters") >= 8.0, "{name}: the letters of a chart are too small: {looked}");
    let worst = looked["worst"][0].as_f64().unwrap();
    assert!(worst >= 4.5, "{name}: this is hard to read: {}", looked["worst"]);
    assert_eq!(number("paper") < 0.1, seen.scheme == "dark", "{name}: {looked}");
}

/// Nothing was asked for but the page, and nothing was complained of.
#[track_caller]
fn assert_quiet(events: &[Value], page: &Path, name: &str) {
    for event in events {
        let params = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap();
                assert_eq!(url, format!("file://{}", page.display()), "{name}");
            }
            "Log.entryAdded" | "Runtime.exceptionThrown" | "Runtime.consoleAPICalled" => {
                panic!("{name}: {params}");
            }
            _ => {}
        }
    }
    let is_request = |event: &&Value| event["method"] == "Network.requestWillBeSent";
    assert_eq!(events.iter().filter(is_request).count(), 1, "{name}");
}
