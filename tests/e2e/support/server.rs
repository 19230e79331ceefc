//! A small HTTP server on this machine: a binary cache, or one that takes connections and never answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{JoinHandle, spawn};
use std::{fs, io};

/// A server that goes when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    heard: Arc<Heard>,
    thread: Option<JoinHandle<()>>,
}

/// What is asked of a server, and its wish to end.
#[derive(Debug, Default)]
struct Heard {
    connections: Mutex<usize>,
    requests: Mutex<Vec<Request>>,
    ended: AtomicBool,
}

/// One request, by its line and its headers.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
}

impl Server {
    /// Serves the files below a directory.
    pub(crate) fn of(directory: &Path) -> Self {
        let directory = directory.to_path_buf();
        Self::start(move |stream, heard| drop(answer(stream, heard, |path| file(&directory, path))))
    }

    /// Serves the files of a binary cache below a directory, and each kind of question for the first time when `count` have asked
    /// it, so that they have their answers at the same time.
    pub(crate) fn gathering(directory: &Path, count: usize) -> Self {
        let directory = directory.to_path_buf();
        let first = || Arc::new((AtomicUsize::new(0), Barrier::new(count)));
        let (cache, path_info) = (first(), first());
        let wait = move |first: &(AtomicUsize, Barrier)| {
            if first.0.fetch_add(1, Ordering::SeqCst) < count {
                first.1.wait();
            }
        };
        Self::start(move |stream, heard| {
            let gathered = |path: &str| {
                if path == "/nix-cache-info" {
                    wait(&cache);
                } else if path.ends_with(".narinfo") {
                    wait(&path_info);
                }
                file(&directory, path)
            };
            drop(answer(stream, heard, gathered));
        })
    }

    /// A binary cache that is there and has nothing but trouble.
    pub(crate) fn troubled() -> Self {
        let trouble = |path: &str| match path {
            "/nix-cache-info" => ("200 OK", b"StoreDir: /nix/store\n".to_vec()),
            _ => ("500 Trouble", Vec::new()),
        };
        Self::start(move |stream, heard| drop(answer(stream, heard, trouble)))
    }

    /// Takes connections, keeps them, and never answers.
    pub(crate) fn silent() -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        Self::start(move |stream, _| kept.lock().unwrap().push(stream))
    }

    /// An address at which nobody listens.
    pub(crate) fn refused() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    fn start(on_connection: impl Fn(TcpStream, &Heard) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Heard::default());
        let of_thread = heard.clone();
        let thread = spawn(move || {
            for stream in listener.incoming() {
                if of_thread.ended.load(Ordering::SeqCst) {
                    return;
                }
                *of_thread.connections.lock().unwrap() += 1;
                // A connection may stay unused for long while others are in need.
                let (on_connection, heard) = (on_connection.clone(), of_thread.clone());
                spawn(move || on_connection(stream.unwrap(), &heard));
            }
        });
        Self { address, heard, thread: Some(thread) }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        *self.heard.connections.lock().unwrap()
    }

    /// What was asked for so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.heard.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.heard.ended.store(true, Ordering::SeqCst);
        // The thread waits for a connection, and looks whether it is to end when it has one.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn file(directory: &Path, path: &str) -> (&'static str, Vec<u8>) {
    match fs::read(directory.join(path.trim_start_matches('/'))) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    }
}

/// Answers one request; curl asks for more on connections of their own.
fn answer(mut stream: TcpStream, heard: &Heard, to: impl Fn(&str) -> (&'static str, Vec<u8>)) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    let headers: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or("/").to_owned());
    heard.requests.lock().unwrap().push(Request { line, headers });
    let (status, body) = to(&path);
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(())
}
