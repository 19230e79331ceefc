//! A binary cache behind HTTP, in memory, that counts what is asked of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The server. Its thread ends with the test's process.
#[derive(Debug)]
pub(crate) struct WebCache {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    stalls: bool,
    files: BTreeMap<String, Vec<u8>>,
    asked: Vec<(String, String)>,
}

impl WebCache {
    /// An empty cache at every address of this machine.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client that goes away in the middle is no failure of the cache.
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, state }
    }

    /// Its URL by one of the machine's addresses.
    pub(crate) fn url(&self, address: &str) -> String {
        format!("http://{address}:{}", self.port)
    }

    /// Has it send nothing more of any path's content.
    pub(crate) fn stall(&self) {
        self.state.lock().unwrap().stalls = true;
    }

    /// The paths that were asked for by `method`, in order.
    pub(crate) fn asked(&self, method: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|(by, _)| by == method).map(|(_, path)| path.clone()).collect()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "expect" => writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    while method == "GET" && path.contains(".nar") && !path.ends_with(".narinfo") && state.lock().unwrap().stalls {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (status, body) = answer(&method, &path, body, &mut state.lock().unwrap());
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    writer.write_all(head.as_bytes()).ok()?;
    writer.write_all(if method == "HEAD" { &[] } else { &body }).ok()
}

fn answer(method: &str, path: &str, body: Vec<u8>, state: &mut State) -> (&'static str, Vec<u8>) {
    state.asked.push((method.to_owned(), path.to_owned()));
    if method == "PUT" {
        state.files.insert(path.to_owned(), body);
        return ("201 Created", Vec::new());
    }
    state.files.get(path).map_or(("404 Not Found", Vec::new()), |file| ("200 OK", file.clone()))
}
