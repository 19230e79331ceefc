//! A binary cache behind HTTP, in memory, that counts what is asked of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use super::server::{Request, Server, Status};

/// The cache. It goes when this value is dropped.
#[derive(Debug)]
pub(crate) struct WebCache {
    server: Server,
    stalls: Arc<Mutex<bool>>,
}

impl WebCache {
    /// An empty cache at every address of this machine.
    pub(crate) fn new() -> Self {
        let (stalls, files) = (Arc::new(Mutex::new(false)), Mutex::new(BTreeMap::<String, Vec<u8>>::new()));
        let of_server = stalls.clone();
        let server = Server::answering("0.0.0.0", move |request| {
            while request.is_for_content() && *of_server.lock().unwrap() {
                sleep(Duration::from_millis(100));
            }
            let mut files = files.lock().unwrap();
            if request.method == "PUT" {
                files.insert(request.path.clone(), request.body.clone());
                return (Status::CREATED, Vec::new());
            }
            files.get(&request.path).map_or((Status::NOT_FOUND, Vec::new()), |file| (Status::OK, file.clone()))
        });
        Self { server, stalls }
    }

    /// Its URL by one of the machine's addresses.
    pub(crate) fn url(&self, address: &str) -> String {
        format!("http://{address}:{}", self.server.port())
    }

    /// Has it send nothing more of any path's content.
    pub(crate) fn stall(&self) {
        *self.stalls.lock().unwrap() = true;
    }

    /// The paths that were asked for by `method`, in order.
    pub(crate) fn asked(&self, method: &str) -> Vec<String> {
        let by_method = |request: Request| (request.method == method).then_some(request.path);
        self.server.requests().into_iter().filter_map(by_method).collect()
    }
}

impl Request {
    /// Whether it asks for what a store path holds.
    fn is_for_content(&self) -> bool {
        self.method == "GET" && self.path.contains(".nar") && !self.path.ends_with(".narinfo")
    }
}
