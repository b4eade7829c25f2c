//! Processes that end with this one, and what the kernel says of them.

use rustix::process::{Resource, getrlimit, setrlimit};
use std::fs;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

/// A child that is ended when dropped.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display())))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whose work is counted as whose: (server, its caller).
static BELONGINGS: Mutex<Vec<(u32, u32)>> = Mutex::new(Vec::new());

/// What `server` and its children do is counted as `caller`'s from now on.
pub fn belongs_to(server: u32, caller: u32) {
    BELONGINGS.lock().unwrap().push((server, caller));
}

/// Processor time of a process, its children, and whatever belongs to it.
pub fn cpu_of(process: u32) -> Duration {
    let mut wanted = vec![process];
    wanted
        .extend(BELONGINGS.lock().unwrap().iter().filter(|(_, caller)| *caller == process).map(|(server, _)| *server));
    let mut ticks = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // Field 4 and on, behind the name in parentheses, which may hold anything.
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap().split(' ').skip(2).map(|field| field.parse().unwrap_or(0)).collect();
        let parent = u32::try_from(fields[0]).unwrap();
        if wanted.contains(&id) {
            // Its own, and that of children it waited for (`proc_pid_stat(5)`: utime, stime, cutime, cstime).
            ticks += fields[10..14].iter().sum::<u64>();
        } else if wanted.contains(&parent) {
            ticks += fields[10] + fields[11];
        }
    }
    // A tick is a hundredth of a second (USER_HZ).
    Duration::from_millis(ticks * 10)
}

/// Processor time of this thread's process.
pub fn own_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap(), u32::try_from(spent.tv_nsec).unwrap())
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A line of `/proc/PID/status`, KiB: `VmRSS`, `VmHWM`.
pub fn memory(process: u32, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Begins the peak of a process's memory anew (`proc_pid_clear_refs(5)`). An authority keeps its memory to itself, so that only
/// root may: for others the peak is that since its start, which is no less.
pub fn forget_peak(process: u32) {
    let _ = fs::write(format!("/proc/{process}/clear_refs"), "5");
}

/// As many open files as this process may have: a caller each.
pub fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
