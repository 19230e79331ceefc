//! A small HTTP server on this machine: a binary cache, or one that takes connections and never answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
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

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

/// The first line of an answer, without the protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status(&'static str);

impl Status {
    pub(crate) const OK: Self = Self("200 OK");
    pub(crate) const CREATED: Self = Self("201 Created");
    pub(crate) const NOT_FOUND: Self = Self("404 Not Found");
    const TROUBLE: Self = Self("500 Trouble");
}

impl Server {
    /// Serves the files below a directory.
    pub(crate) fn of(directory: &Path) -> Self {
        let directory = directory.to_path_buf();
        Self::answering("127.0.0.1", move |request| file(&directory, &request.path))
    }

    /// Answers each request as it is told to, at this address of the machine.
    pub(crate) fn answering(address: &str, to: impl Fn(&Request) -> (Status, Vec<u8>) + Send + Sync + 'static) -> Self {
        let to = Arc::new(to);
        // A client that goes away in the middle is no failure of the server.
        Self::start(address, move |stream, heard| drop(answer(stream, heard, to.as_ref())))
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
        Self::answering("127.0.0.1", move |request| {
            if request.path == "/nix-cache-info" {
                wait(&cache);
            } else if request.path.ends_with(".narinfo") {
                wait(&path_info);
            }
            file(&directory, &request.path)
        })
    }

    /// A binary cache that is there and has nothing but trouble.
    pub(crate) fn troubled() -> Self {
        Self::answering("127.0.0.1", |request| match request.path.as_str() {
            "/nix-cache-info" => (Status::OK, b"StoreDir: /nix/store\n".to_vec()),
            _ => (Status::TROUBLE, Vec::new()),
        })
    }

    /// Takes connections, keeps them, and never answers.
    pub(crate) fn silent() -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        Self::start("127.0.0.1", move |stream, _| kept.lock().unwrap().push(stream))
    }

    /// An address at which nobody listens.
    pub(crate) fn refused() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    fn start(address: &str, on_connection: impl Fn(TcpStream, &Heard) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
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

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
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

fn file(directory: &Path, path: &str) -> (Status, Vec<u8>) {
    let found = fs::read(directory.join(path.trim_start_matches('/')));
    found.map_or((Status::NOT_FOUND, Vec::new()), |body| (Status::OK, body))
}

/// Answers one request; curl asks for more on connections of their own.
fn answer(mut stream: TcpStream, heard: &Heard, to: impl Fn(&Request) -> (Status, Vec<u8>)) -> io::Result<()> {
    let request = read(&mut stream)?;
    heard.requests.lock().unwrap().push(request.clone());
    let (status, body) = to(&request);
    let length = body.len();
    write!(stream, "HTTP/1.1 {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n", status.0)?;
    if request.method != "HEAD" {
        stream.write_all(&body)?;
    }
    Ok(())
}

fn read(stream: &mut TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or("/").to_owned());
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or_default(),
            "expect" => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
        headers.push(line.trim().to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, headers, body })
}
