//! The few pages that a person sees. Self-contained: no script, nothing fetched, nothing kept, shown in no frame.

use super::Identity;
use super::steps::Asking;
use crate::protocol::display::escaped;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use std::fmt::Write as _;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.25rem}\
h1{font-size:1.35rem}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}\
dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\
input,button{font:inherit;padding:.5rem .9rem;border-radius:.4rem;border:1px solid #8889}\
input{letter-spacing:.15em;text-transform:uppercase;width:12ch}\
button{cursor:pointer}button.yes{background:#0b5fff;border-color:#0b5fff;color:#fff}\
form{display:flex;gap:.75rem;flex-wrap:wrap;margin-top:1.5rem}";

/// One page.
pub(super) struct Page {
    status: StatusCode,
    title: &'static str,
    body: String,
    /// Where it goes on to by itself.
    onward: Option<String>,
}

impl Page {
    /// A fact, and what to do.
    pub(super) fn said(status: StatusCode, title: &'static str, text: &str) -> Self {
        Self { status, title, body: format!("<p>{}</p>", html(text)), onward: None }
    }

    /// The person is asked whether they want it: who they are, and which device it is.
    pub(super) fn confirm(action: &str, name: &str, identity: &Identity, asking: &Asking) -> Self {
        let mut list = String::new();
        let mut line = |what: &str, value: &str| {
            let _ = write!(list, "<dt>{what}</dt><dd>{}</dd>", html(value));
        };
        line("You are", &identity.person.name);
        line("The device calls itself", &asking.host);
        line("It asked from", &asking.address);
        line("At", &asking.at.to_string());
        let body = format!(
            "<p>If you did not just run <b>elevate login</b> there, refuse: somebody else would act as you.</p>\
             <dl>{list}</dl>\
             <form method=\"post\" action=\"{}\"><input type=\"hidden\" name=\"name\" value=\"{}\">\
             <button class=\"yes\" name=\"answer\" value=\"allow\">Sign in on this device</button>\
             <button name=\"answer\" value=\"refuse\">Refuse</button></form>",
            html(action),
            html(name),
        );
        Self { status: StatusCode::OK, title: "Sign in on this device?", body, onward: None }
    }

    /// The person is asked for the code that a device shows.
    pub(super) fn user_code(action: &str, typed: &str, wrong: Option<&str>) -> Self {
        let wrong = wrong.map(|wrong| format!("<p role=\"alert\"><b>{}</b></p>", html(wrong))).unwrap_or_default();
        let body = format!(
            "<p>Type the code that <b>elevate login</b> shows on the device.</p>{wrong}\
             <form method=\"post\" action=\"{}\">\
             <input name=\"user_code\" value=\"{}\" aria-label=\"Code\" autocomplete=\"off\" autofocus required maxlength=\"12\">\
             <button class=\"yes\">Go on</button></form>",
            html(action),
            html(typed),
        );
        let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        Self { status, title: "Sign a device in", body, onward: None }
    }

    /// Goes on by itself. No redirect: `form-action` would hold it up after a form.
    pub(super) fn onward(url: &str) -> Self {
        let body = format!("<p>If nothing happens, <a href=\"{}\">go on</a>.</p>", html(url));
        Self { status: StatusCode::OK, title: "One moment", body, onward: Some(url.to_owned()) }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let refresh = self.onward.map(|url| format!("<meta http-equiv=\"refresh\" content=\"0;url={}\">", html(&url)));
        let text = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">{}<title>{} - elevate</title>\
             <style>{STYLE}</style></head><body><main><h1>{}</h1>{}</main></body></html>",
            refresh.unwrap_or_default(),
            self.title,
            self.title,
            self.body,
        );
        let mut response = (self.status, Html(text)).into_response();
        let style = base64::prelude::BASE64_STANDARD.encode(crate::protocol::encoding::sha256(&[STYLE.as_bytes()]));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        let headers = response.headers_mut();
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        let fixed: [(HeaderName, &str); 4] = [
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Text of others as HTML, in elements and in quoted attributes; what deceives the eye is spelled out first.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escaped(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
