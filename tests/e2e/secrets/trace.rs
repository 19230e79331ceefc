//! What the system calls of programs say about where a secret went.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The calls by which something gets out of a process, or that show what it reads.
pub(super) const CALLS: &str = "execve,execveat,read,pread64,readv,recvfrom,recvmsg,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,\
     open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,unlink,unlinkat,setxattr,\
     fsetxattr,sendfile,splice,tee,vmsplice,copy_file_range,mmap,prctl,prlimit64,setrlimit,io_uring_setup";

/// Calls that take something in.
const IN: [&str; 5] = ["read", "pread64", "readv", "recvfrom", "recvmsg"];

/// Calls that write to the file that is their first argument.
const OUT: [&str; 5] = ["write", "pwrite64", "writev", "pwritev", "pwritev2"];

/// Calls that copy within the kernel, so that what they copy is not seen.
const UNSEEN: [&str; 5] = ["sendfile", "splice", "tee", "vmsplice", "copy_file_range"];

/// What a secret looks like, as it is and encoded.
pub(super) struct Forms(Vec<String>);

impl Forms {
    /// Those of a secret that consists of letters and digits alone, or nearly so.
    pub(super) fn of(secret: &str) -> Self {
        assert!(secret.len() >= 12, "too short to be told from other text");
        let hex = |upper: bool| {
            let digits = |byte: u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            secret.bytes().map(digits).collect::<String>()
        };
        // The digits at both ends depend on what stands beside it.
        let base64 = |offset: usize| {
            let text = BASE64_STANDARD.encode(format!("{}{secret}", &"   "[..offset]));
            text[4..text.len() - 4].to_owned()
        };
        Self(vec![secret.to_owned(), hex(false), hex(true), base64(0), base64(1), base64(2)])
    }

    pub(super) fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|form| text.contains(form.as_str()))
    }

    /// The files below a directory that have one of them.
    pub(super) fn on_disk(&self, dir: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                found.extend(self.on_disk(&entry.path()));
            } else if kind.is_file() {
                let content = fs::read(entry.path()).unwrap_or_default();
                found.extend(self.are_in(&String::from_utf8_lossy(&content)).then(|| entry.path()));
            }
        }
        found
    }
}

/// The lines of a trace by which something secret leaves memory.
pub(super) fn leaks(trace: &str, forms: &Forms) -> Vec<String> {
    let short = |line: &str| line.chars().take(200).collect();
    trace.lines().filter(|line| is_leak(line, forms)).map(short).collect()
}

/// Whether both calls that keep memory from being written by a crash come before anything secret.
pub(super) fn leaves_no_core(trace: &str, forms: &Forms) -> bool {
    let first = |what: &dyn Fn(&str) -> bool| trace.lines().position(what);
    let Some(secret) = first(&|line| forms.are_in(line)) else { return true };
    let dumpable = first(&|line| line.contains("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE) = 0"));
    let limit = first(&|line| line.contains("RLIMIT_CORE, {rlim_cur=0, rlim_max=0}"));
    [dumpable, limit].iter().all(|at| at.is_some_and(|at| at < secret))
}

fn is_leak(line: &str, forms: &Forms) -> bool {
    // A process, and its call; or the end of one that another came in between of.
    let Some((_, call)) = line.split_once(' ') else { return false };
    let call = call.trim_start();
    let name = match call.strip_prefix("<... ") {
        Some(rest) => rest.split(' ').next().unwrap_or_default(),
        None => call.split('(').next().unwrap_or_default(),
    };
    let files = targets(call);
    if name == "io_uring_setup" {
        return true;
    }
    if UNSEEN.contains(&name) {
        // From memory it may go to memory.
        return files.iter().any(|file| is_memory(file)) && files.iter().any(|file| !is_memory(file));
    }
    if name == "mmap" {
        // What is mapped is written without a call. That file of SQLite's is about its log, and has nothing of what is stored.
        let shared = call.contains("PROT_WRITE") && call.contains("MAP_SHARED");
        return shared && files.iter().any(|file| !is_memory(file) && !file.ends_with("-shm"));
    }
    if IN.contains(&name) || !forms.are_in(line) {
        return false;
    }
    !OUT.contains(&name) || files.first().is_none_or(|file| !is_memory(file))
}

/// The files that a call is about: `write(3</path>, …`.
fn targets(call: &str) -> Vec<&str> {
    let args = call.split('"').next().unwrap_or_default();
    args.split('<').skip(1).filter_map(|rest| Some(rest.split_once('>')?.0)).collect()
}

/// Whether what is written there goes to no disk.
fn is_memory(file: &str) -> bool {
    ["/dev/shm/", "pipe:[", "/dev/pts/", "/dev/ptmx", "/dev/tty", "/dev/null", "/memfd:"]
        .iter()
        .any(|begin| file.starts_with(begin))
}
