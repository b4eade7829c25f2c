//! The port of this machine to which a browser brings the answer (RFC 8252 section 7.3): for one answer, to one question.

use super::AGAIN;
use crate::client::error::Error;
use crate::protocol::messages::ErrorCode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const PATH: &str = "/callback";
/// Bytes of a request that are looked at.
const HEAD_MAX: usize = 16 << 10;
/// How long one connection may take.
const CONNECTION: Duration = Duration::from_secs(5);
/// How often is looked whether one of them is done.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

type Parameters = BTreeMap<String, String>;

/// A port that is ours.
pub(super) struct Listener {
    listener: TcpListener,
    port: u16,
}

impl Listener {
    /// One that nobody has; who comes later can't have it while we do.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn bind() -> Result<Self, Error> {
        let fault = |error: std::io::Error| {
            Error::failed(format!("no port of this machine can be listened on: {error}"))
                .hint("`elevate login --device` needs none")
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fault)?;
        let port = listener.local_addr().map_err(fault)?.port();
        Ok(Self { listener, port })
    }

    /// Where the browser is sent.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }

    /// Waits for the code that answers the question with this `state`, from this `issuer` (RFC 9207). What answers no
    /// question of ours is told so, and `note`d: anybody on this machine can send it.
    ///
    /// # Errors
    /// Nobody answered in time, or the answer is no; [`ErrorCode::VerificationFailed`], where it is another issuer's.
    pub(super) fn wait(
        self,
        state: &str,
        issuer: &str,
        within: Duration,
        note: impl Fn(&str),
    ) -> Result<String, Error> {
        let until = Instant::now() + within;
        let (arrived, arriving) = mpsc::channel();
        while Instant::now() < until {
            if let Ok((stream, parameters)) = arriving.try_recv() {
                match answer(&parameters, state, issuer) {
                    None => {
                        say(stream, "400 Bad Request", "This is not the answer that elevate waits for.");
                        note("an answer that is not to this sign-in was ignored");
                    }
                    Some(Ok(code)) => {
                        say(stream, "200 OK", "You may close this window and go back to the terminal.");
                        return Ok(code);
                    }
                    Some(Err(error)) => {
                        say(stream, "200 OK", "That did not work. The terminal says why; you may close this window.");
                        return Err(error);
                    }
                }
            }
            let mut ready = [PollFd::new(&self.listener, PollFlags::IN)];
            if poll(&mut ready, Some(&LOOK)).is_ok_and(|count| count > 0)
                && let Ok((stream, _)) = self.listener.accept()
            {
                let arrived = arrived.clone();
                // A browser opens connections on which it says nothing: none of them holds up another.
                std::thread::spawn(move || {
                    if let Some(found) = read(stream) {
                        let _ = arrived.send(found);
                    }
                });
            }
        }
        Err(Error::new(ErrorCode::InteractionRequired, "nobody signed in within ten minutes").hint(AGAIN))
    }
}

/// The parameters of a request for our path; any other is answered here.
fn read(mut stream: TcpStream) -> Option<(TcpStream, Parameters)> {
    let until = Instant::now() + CONNECTION;
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        let mut part = [0; 2048];
        let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
        head.extend_from_slice(&part[..count]);
        if head.len() > HEAD_MAX {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    let Some(parameters) = parameters(target) else {
        say(stream, "404 Not Found", "There is nothing here.");
        return None;
    };
    Some((stream, parameters))
}

/// Those of our path, each once.
fn parameters(target: &str) -> Option<Parameters> {
    let query = target.strip_prefix(PATH)?.strip_prefix('?')?;
    let url = reqwest::Url::parse(&format!("http://127.0.0.1{PATH}?{query}")).ok()?;
    let mut parameters = Parameters::new();
    for (name, value) in url.query_pairs() {
        if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(parameters)
}

/// The code, or why there is none; `None` where it is no answer to our question.
fn answer(parameters: &Parameters, state: &str, issuer: &str) -> Option<Result<String, Error>> {
    if parameters.get("state").map(String::as_str) != Some(state) {
        return None;
    }
    if parameters.get("iss").map(String::as_str) != Some(issuer) {
        let message = "the answer to the sign-in is another authority's";
        return Some(Err(Error::new(ErrorCode::VerificationFailed, message)
            .hint("it was not used: somebody may have led your browser elsewhere")));
    }
    Some(match (parameters.get("error"), parameters.get("code")) {
        (None, Some(code)) => Ok(code.clone()),
        (Some(error), _) => {
            let description = parameters.get("error_description").unwrap_or(error);
            let code = if error == "access_denied" { ErrorCode::Denied } else { ErrorCode::Failed };
            Err(Error::new(code, format!("you are not signed in: {description}")))
        }
        (None, None) => Err(Error::failed("the answer to the sign-in holds no code").hint(AGAIN)),
    })
}

/// A page without anything to fetch or to run, which no other sees.
fn say(mut stream: TcpStream, status: &str, text: &str) {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>elevate</title></head>\
         <body><p>{text}</p></body></html>"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\
         Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n\
         Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n\r\n",
        page.len()
    );
    let _ = stream.set_write_timeout(Some(CONNECTION));
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::{answer, parameters};
    use crate::protocol::messages::ErrorCode;

    #[test]
    fn an_answer_is_to_our_question_and_from_our_authority() {
        let answered =
            |query: &str| answer(&parameters(&format!("/callback?{query}")).unwrap(), "s", "https://a.example");
        assert!(answered("code=c&iss=https://a.example").is_none(), "no state");
        assert!(answered("code=c&state=t&iss=https://a.example").is_none());
        assert_eq!(answered("code=c&state=s&iss=https%3A%2F%2Fa.example").unwrap().unwrap(), "c");
        for query in ["code=c&state=s", "code=c&state=s&iss=https://b.example"] {
            assert_eq!(answered(query).unwrap().unwrap_err().code, ErrorCode::VerificationFailed, "{query}");
        }
        let denied = answered("error=access_denied&error_description=no+way&state=s&iss=https://a.example");
        let denied = denied.unwrap().unwrap_err();
        assert_eq!((denied.code, denied.message.as_str()), (ErrorCode::Denied, "you are not signed in: no way"));
        for other in ["/", "/favicon.ico", "/callback", "/callback?state=s&state=s", "/callbackx?state=s"] {
            assert!(parameters(other).is_none(), "{other}");
        }
    }
}
