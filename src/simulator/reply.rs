//! The envelope of every answer, and what an error looks like in it.

use serde_json::{Map, Value};

use super::fault::Fault;

/// An in-band refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) details: Option<Value>,
}

impl ApiError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// An error about one property of the request.
    pub(super) fn about(code: &'static str, message: &str, field: &str) -> Self {
        let details = serde_json::json!({ "field": field });
        Self { details: Some(details), ..Self::new(code, message) }
    }
}

/// Who asked: what every answer to a request repeats.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker {
    /// The request as it was sent, tokens masked.
    pub(super) echo: Option<Map<String, Value>>,
    pub(super) req_id: Option<Value>,
    pub(super) passthrough: Option<Value>,
}

impl Asker {
    /// Reads a request.
    pub(super) fn of(body: &Map<String, Value>) -> Self {
        let mut echo = body.clone();
        for secret in ["authorize", "tokens"] {
            if let Some(value) = echo.get_mut(secret) {
                *value = Value::from("<not shown>");
            }
        }
        Self {
            echo: Some(echo),
            req_id: body.get("req_id").cloned(),
            passthrough: body.get("passthrough").cloned(),
        }
    }
}

/// One message of the exchange before it becomes text.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    asker: Asker,
    msg_type: &'static str,
    /// Members beside the envelope, each already JSON.
    members: Vec<(&'static str, String)>,
}

impl Reply {
    /// An answer with one member named like its type.
    pub(super) fn new(asker: &Asker, msg_type: &'static str, member: String) -> Self {
        Self { asker: asker.clone(), msg_type, members: vec![(msg_type, member)] }
    }

    /// A refusal.
    pub(super) fn error(asker: &Asker, msg_type: &'static str, error: &ApiError) -> Self {
        let mut member = serde_json::json!({ "code": error.code, "message": error.message });
        if let Some(details) = &error.details {
            member["details"] = details.clone();
        }
        Self { asker: asker.clone(), msg_type, members: vec![("error", member.to_string())] }
    }

    /// Adds a member.
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, json: String) -> Self {
        self.members.push((name, json));
        self
    }

    /// Adds the id of a stream.
    #[must_use]
    pub(super) fn with_subscription(self, id: &str) -> Self {
        self.with("subscription", serde_json::json!({ "id": id }).to_string())
    }

    /// Spoils the envelope; faults of another stage leave it alone.
    pub(super) fn spoil(&mut self, fault: Fault) {
        match fault {
            Fault::WrongReqId => self.asker.req_id = Some(Value::from(987_654_321)),
            Fault::NoReqId => self.asker.req_id = None,
            Fault::NoEcho => self.asker.echo = None,
            Fault::WrongSymbolEcho => {
                if let Some(symbol) =
                    self.asker.echo.as_mut().and_then(|echo| echo.get_mut("ticks_history"))
                {
                    let other = if symbol == "R_10" { "R_25" } else { "R_10" };
                    *symbol = Value::from(other);
                }
            }
            Fault::WrongPipSize => self.change_pip_size(-1),
            Fault::HighPipSize => self.change_pip_size(1),
            Fault::OtherAnswer => {
                self.msg_type = "time";
                self.members = vec![("time", "1773576000".to_owned())];
            }
            Fault::NullHistory => {
                let is_rows = |name: &str| matches!(name, "history" | "candles");
                for (_, json) in self.members.iter_mut().filter(|(name, _)| is_rows(name)) {
                    "null".clone_into(json);
                }
            }
            Fault::MissingHistory => {
                self.members.retain(|(name, _)| !matches!(*name, "history" | "candles"));
            }
            _ => {}
        }
    }

    fn change_pip_size(&mut self, by: i64) {
        for (_, json) in self.members.iter_mut().filter(|(name, _)| *name == "pip_size") {
            let decimals: i64 = json.parse().unwrap_or(1);
            *json = (decimals + by).to_string();
        }
    }

    /// The text of one frame.
    pub(super) fn render(&self) -> String {
        let size: usize = self.members.iter().map(|(name, json)| name.len() + json.len() + 4).sum();
        let mut out = String::with_capacity(size + 256);
        out.push('{');
        if let Some(echo) = &self.asker.echo {
            push_member(&mut out, "echo_req", &json_of(echo));
        }
        for (name, json) in &self.members {
            push_member(&mut out, name, json);
        }
        push_member(&mut out, "msg_type", &format!("\"{}\"", self.msg_type));
        if let Some(passthrough) = &self.asker.passthrough {
            push_member(&mut out, "passthrough", &passthrough.to_string());
        }
        if let Some(req_id) = &self.asker.req_id {
            push_member(&mut out, "req_id", &req_id.to_string());
        }
        out.push('}');
        out
    }
}

fn push_member(out: &mut String, name: &str, json: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
    out.push_str(json);
}

fn json_of(map: &Map<String, Value>) -> String {
    serde_json::to_string(map).expect("a map of JSON values is JSON")
}
