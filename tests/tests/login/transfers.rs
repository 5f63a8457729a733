//! Files and programs that go through the recorder behind a real `sshd`: byte for byte.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::place::{ANNA, Place, fed, must, noise, runs};

/// A size for each run, from nothing to what fills every buffer on the way several times.
fn size(run: u64) -> usize {
    match run % 8 {
        0 => 0,
        1 => 1,
        2 => 65_536,
        n => (n * 311_113 + run * 997) as usize,
    }
}

fn same(one: &Path, other: &Path, what: &str) {
    let (one, other) = (fs::read(one).unwrap(), fs::read(other).unwrap());
    assert!(
        one == other,
        "{what}: {} and {} bytes",
        one.len(),
        other.len()
    );
}

/// What all programs of OpenSSH take alike.
fn client(place: &Place, program: &str) -> Command {
    let mut command = Command::new(program);
    command.args(place.ssh_options());
    command
}

#[test]
fn commands_and_pipelines() {
    let Some(place) = Place::new("login-pipes") else {
        return;
    };
    for run in 0..runs() {
        let input = noise(run, size(run));
        let (files, status) = (format!("f{run}"), run % 256);
        // Through a pipeline, out on both streams and into a file.
        let script =
            format!("tee {files} | cat; tail -c 70000 {files} >&2; rm {files}; exit {status}");
        let done = fed(&mut place.ssh(&[], &[&script]), &input);
        assert_eq!(done.status.code(), Some(status as i32), "run {run}");
        assert!(
            done.stdout == input,
            "run {run}: {} bytes",
            done.stdout.len()
        );
        let tail = &input[input.len().saturating_sub(70_000)..];
        assert!(
            done.stderr == tail,
            "run {run}: {} bytes",
            done.stderr.len()
        );
    }
    let rows = place.sessions(runs() as usize);
    assert!(rows.iter().all(|row| row["kind"] == "exec"));
}

#[test]
fn scp() {
    let Some(place) = Place::new("login-scp") else {
        return;
    };
    let dir = place.scratch.path();
    let (sent, back) = (dir.join("sent"), dir.join("back"));
    for run in 0..runs() {
        fs::write(&sent, noise(run, size(run))).unwrap();
        // In turn by SFTP and by its own, old protocol.
        let flags: &[&str] = if run % 2 == 0 { &["-q"] } else { &["-q", "-O"] };
        let there = format!("{ANNA}@desk:received");
        must(client(&place, "scp").args(flags).arg(&sent).arg(&there));
        same(&sent, &place.home(ANNA).join("received"), "scp there");
        must(client(&place, "scp").args(flags).arg(&there).arg(&back));
        same(&sent, &back, "scp back");
    }
    place.sessions(runs() as usize * 2);
}

#[test]
fn sftp() {
    let Some(place) = Place::new("login-sftp") else {
        return;
    };
    let dir = place.scratch.path();
    let (sent, back) = (dir.join("sent"), dir.join("back"));
    for run in 0..runs() {
        fs::write(&sent, noise(run, size(run))).unwrap();
        let batch = format!(
            "put {} received\nls -l\nget received {}\nrm received\nbye\n",
            sent.display(),
            back.display()
        );
        let mut command = client(&place, "sftp");
        command.args(["-q", "-b", "-"]).arg(format!("{ANNA}@desk"));
        let done = fed(&mut command, batch.as_bytes());
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "run {run}: {complaint}");
        same(&sent, &back, "sftp");
        fs::remove_file(&back).unwrap();
    }
    place.sessions(runs() as usize);
}

#[test]
fn rsync() {
    let Some(place) = Place::new("login-rsync") else {
        return;
    };
    let dir = place.scratch.path();
    let (sent, back) = (dir.join("tree"), dir.join("again"));
    fs::create_dir_all(sent.join("below")).unwrap();
    let shell: Vec<String> = place
        .ssh_options()
        .iter()
        .map(|word| format!("'{word}'"))
        .collect();
    let shell = format!("ssh {}", shell.join(" "));
    for run in 0..runs() {
        // From the second run on, only what changed goes over.
        let mut bytes = noise(7, 400_000 + size(run) / 4);
        let at = (run * 1_999) as usize % bytes.len();
        bytes[at] ^= 0xff;
        fs::write(sent.join("large"), &bytes).unwrap();
        fs::write(
            sent.join("below").join(format!("n{}", run % 5)),
            noise(run, 3_000),
        )
        .unwrap();
        let there = format!("{ANNA}@desk:tree/");
        let rsync = |from: &str, to: &str| {
            must(Command::new("rsync").args(["-a", "-c", "--delete", "-e", &shell, from, to]));
        };
        let (from, to) = (
            format!("{}/", sent.display()),
            format!("{}/", back.display()),
        );
        rsync(&from, &there);
        rsync(&there, &to);
        for name in ["large", "below/n0"] {
            same(
                &sent.join(name),
                &place.home(ANNA).join("tree").join(name),
                "rsync there",
            );
            same(&sent.join(name), &back.join(name), "rsync back");
        }
    }
    place.sessions(runs() as usize * 2);
}

/// What Ansible does for each task, in its order: a directory, the module over SFTP or standard
/// input, its mode on a terminal, its run and what it says as JSON, the directory's end.
#[test]
fn a_module_push() {
    let Some(place) = Place::new("login-module") else {
        return;
    };
    let dir = place.scratch.path();
    for run in 0..runs() {
        let module = dir.join("AnsiballZ_ping.py");
        let padding = "#".repeat(size(run) / 8);
        let source = format!(
            "import sys, json\n{padding}\nsys.stderr.write('warned\\n')\n\
             print(json.dumps({{'ping': 'pong', 'run': {run}, 'pad': '=' * 9000}}))\n"
        );
        fs::write(&module, &source).unwrap();
        let tmp = format!(".ansible/tmp/ansible-tmp-{run}");
        let made = must(&mut place.ssh(
            &[],
            &[&format!(
                "/bin/sh -c '( umask 77 && mkdir -p {tmp} && echo tmp={tmp} ) && sleep 0'"
            )],
        ));
        assert_eq!(made.stdout, format!("tmp={tmp}\n").as_bytes());
        let there = format!("{tmp}/AnsiballZ_ping.py");
        let mut sftp = client(&place, "sftp");
        sftp.args(["-q", "-b", "-"]).arg(format!("{ANNA}@desk"));
        let batch = format!("put {} {there}\n", module.display());
        assert!(fed(&mut sftp, batch.as_bytes()).status.success());
        same(&module, &place.home(ANNA).join(&there), "the module");
        must(&mut place.ssh(
            &["-tt"],
            &[&format!("/bin/sh -c 'chmod u+x {tmp} {there} && sleep 0'")],
        ));
        let run_it = format!("/bin/sh -c 'python3 {there} && sleep 0'");
        let ran = must(&mut place.ssh(&[], &[&run_it]));
        let said: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(said["run"], run);
        assert_eq!(said["pad"].as_str().unwrap().len(), 9_000);
        assert_eq!(ran.stderr, b"warned\n");
        // Pipelining: the module comes as standard input.
        let mut piped = place.ssh(&[], &["/bin/sh -c 'python3 && sleep 0'"]);
        let ran = fed(&mut piped, source.as_bytes());
        let said: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(said["run"], run);
        must(&mut place.ssh(&[], &[&format!("/bin/sh -c 'rm -f -r {tmp} && sleep 0'")]));
    }
    place.sessions(runs() as usize * 6);
}
