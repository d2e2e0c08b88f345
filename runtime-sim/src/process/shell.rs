//! A small scripted shell: enough to stand for the commands that tasks run.
//!
//! It knows `exit N`, `sleep S`, `echo TEXT`, `cat FILE`, `touch FILE`, `mkdir -p DIR`, `pwd`,
//! `env`, `true`, `false`, `:`, `trap '' TERM`, `kill [-9] PID`, `wait`, `hang` (never ends), the
//! prefixes `exec` and `NAME=VALUE`, `;`, line ends, `&&`, `||`, `&`, quotes, `$NAME`, `$$`, `$?`,
//! `$!`, and the redirections `>`, `>>`, `2>`, `>&2`, `2>&1`. A registered program's name runs that
//! program in the shell's place. Anything else is "not found", code 127.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_runtime::{Command, ProcessId, Runtime, Signal, Target};

use super::behaviour::behave;
use super::output::Output;
use super::port::{find_program, launch};
use super::script::{Operator, statements, words};
use crate::disk::Handle;
use crate::host::Host;

const NOT_FOUND: i32 = 127;

/// Whether a program of this name is a shell.
pub(crate) fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "bash" | "dash")
}

/// Whether this statement of the shell also exists as a program of its own.
pub(crate) fn is_program(name: &str) -> bool {
    matches!(
        name,
        "sleep" | "echo" | "cat" | "touch" | "mkdir" | "pwd" | "env" | "true" | "false" | "hang"
    )
}

/// Quotes a word so that the shell reads it back as it is.
pub(crate) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A running shell.
pub(crate) struct Shell {
    host: Host,
    process: u32,
    runtime: Runtime,
    command: Command,
    stdout: Output,
    stderr: Output,
    last: i32,
    background: u32,
}

/// What a statement leads to.
enum Flow {
    Next(i32),
    Exit(i32),
}

impl Shell {
    pub(crate) fn new(
        host: Host,
        process: u32,
        runtime: Runtime,
        command: Command,
        stdout: Output,
        stderr: Output,
    ) -> Self {
        Self { host, process, runtime, command, stdout, stderr, last: 0, background: 0 }
    }

    /// Runs `script` and returns its exit code.
    pub(crate) async fn run(mut self, script: String) -> i32 {
        let mut run = true;
        for statement in statements(&script) {
            if run && statement.operator == Operator::Background {
                self.last = self.fork(&statement.text);
            } else if run {
                match self.execute(&statement.text).await {
                    Flow::Next(code) => self.last = code,
                    Flow::Exit(code) => return code,
                }
            }
            if !self.host.table().lock().is_alive(self.process) {
                // `kill -9 $$`: nothing of this process runs any more.
                std::future::pending::<()>().await;
            }
            run = match statement.operator {
                Operator::And => run && self.last == 0,
                Operator::Or => self.last != 0,
                Operator::Then | Operator::Background => true,
            };
        }
        self.last
    }

    fn value(&self, name: &str) -> String {
        match name {
            "$" => self.process.to_string(),
            "?" => self.last.to_string(),
            "!" => self.background.to_string(),
            _ => {
                let variable = self.command.environment.iter().find(|(key, _)| key == name);
                variable.map(|(_, value)| value.clone()).unwrap_or_default()
            }
        }
    }

    /// Runs a statement in a child of the same group.
    fn fork(&mut self, text: &str) -> i32 {
        let group = self.host.table().lock().get_mut(self.process).map(|shell| shell.group);
        let mut command = self.command.clone();
        command.program = PathBuf::from("/bin/sh");
        command.arguments = ["sh", "-c", text].map(str::to_owned).to_vec();
        command.new_session = false;
        match launch(&self.host, self.process, group, command) {
            Ok(child) => {
                self.background = child.0;
                0
            }
            Err(error) => self.complain(&format!("cannot fork: {error}"), 2),
        }
    }

    async fn execute(&mut self, text: &str) -> Flow {
        let mut words = words(text, |name| self.value(name));
        let (stdout, stderr) = match self.redirect(&mut words) {
            Ok(outputs) => outputs,
            Err(error) => return Flow::Next(self.complain(&error.to_string(), 2)),
        };
        while let Some(first) = words.first() {
            match first.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    let variable = (name.to_owned(), value.to_owned());
                    self.command.environment.retain(|(key, _)| *key != variable.0);
                    self.command.environment.push(variable);
                }
                _ if first == "exec" => {}
                _ => break,
            }
            words.remove(0);
        }
        let Some((name, arguments)) = words.split_first() else { return Flow::Next(0) };
        if let Some(program) = find_program(&self.host, &self.command, Path::new(name)) {
            let command = Command {
                program: PathBuf::from(name),
                arguments: words.clone(),
                ..self.command.clone()
            };
            let runtime = self.runtime.clone();
            let path = command.program.clone();
            let main = behave(&self.host, self.process, &path, || program(runtime, command));
            return Flow::Exit(main.await);
        }
        self.builtin(name, arguments, &stdout, &stderr).await
    }

    async fn builtin(
        &mut self,
        name: &str,
        arguments: &[String],
        stdout: &Output,
        stderr: &Output,
    ) -> Flow {
        let first = arguments.first().map_or("", String::as_str);
        let code = match name {
            "exit" => return Flow::Exit(first.parse().unwrap_or(self.last)),
            "sleep" => self.sleep(arguments).await,
            "hang" => std::future::pending().await,
            "wait" => self.wait_for_children().await,
            "kill" => self.kill(arguments),
            "trap" => {
                self.trap(arguments);
                0
            }
            "echo" => {
                let newline = first != "-n";
                let text = arguments.get(usize::from(!newline)..).unwrap_or_default().join(" ");
                stdout.write(if newline { text + "\n" } else { text });
                0
            }
            "cat" => self.cat(arguments, stdout),
            "touch" | "mkdir" => self.make(name, arguments),
            "pwd" => {
                stdout.write(format!("{}\n", self.command.working_directory.display()));
                0
            }
            "env" => {
                for (key, value) in &self.command.environment {
                    stdout.write(format!("{key}={value}\n"));
                }
                0
            }
            "true" | ":" | "export" | "set" => 0,
            "false" => 1,
            _ => {
                stderr.write(format!("sh: {name}: not found\n"));
                NOT_FOUND
            }
        };
        Flow::Next(code)
    }

    fn complain(&self, message: &str, code: i32) -> i32 {
        self.stderr.write(format!("sh: {message}\n"));
        code
    }

    fn path(&self, name: &str) -> PathBuf {
        self.command.working_directory.join(name)
    }

    async fn sleep(&self, arguments: &[String]) -> i32 {
        let mut total = Duration::ZERO;
        for argument in arguments {
            if argument == "infinity" {
                std::future::pending::<()>().await;
            }
            let seconds = argument.strip_suffix('s').unwrap_or(argument).parse::<f64>();
            match seconds.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
                Some(duration) => total += duration,
                None => {
                    let message = format!("sleep: invalid time interval '{argument}'");
                    return self.complain(&message, 1);
                }
            }
        }
        self.runtime.sleep(total).await;
        0
    }

    async fn wait_for_children(&self) -> i32 {
        let children = self.host.table().lock().children(self.process);
        for child in children {
            let _ = self.runtime.processes.wait(ProcessId(child)).await;
        }
        0
    }

    fn kill(&self, arguments: &[String]) -> i32 {
        let mut signal = Signal::Terminate;
        let mut code = 0;
        for argument in arguments {
            match argument.as_str() {
                "-9" | "-KILL" | "-SIGKILL" => signal = Signal::Kill,
                "-15" | "-TERM" | "-SIGTERM" => signal = Signal::Terminate,
                _ => {
                    let process = argument.parse().map(|id| Target::Process(ProcessId(id)));
                    if !process.is_ok_and(|target| self.host.deliver(target, signal)) {
                        code = self.complain("kill: no such process", 1);
                    }
                }
            }
        }
        code
    }

    fn trap(&self, arguments: &[String]) {
        if let [action, signals @ ..] = arguments
            && signals.iter().any(|signal| matches!(signal.as_str(), "TERM" | "SIGTERM" | "15"))
            && let Some(process) = self.host.table().lock().get_mut(self.process)
        {
            process.ignores_terminate = action.is_empty();
        }
    }

    fn cat(&self, arguments: &[String], stdout: &Output) -> i32 {
        let mut code = 0;
        for argument in arguments {
            match Handle::read_all(&self.host, &self.path(argument)) {
                Ok(content) => stdout.write(String::from_utf8_lossy(&content).into_owned()),
                Err(error) => code = self.complain(&format!("cat: {argument}: {error}"), 1),
            }
        }
        code
    }

    fn make(&self, name: &str, arguments: &[String]) -> i32 {
        let mut code = 0;
        for argument in arguments.iter().filter(|argument| !argument.starts_with('-')) {
            let path = self.path(argument);
            let made = if name == "touch" {
                Output::open(&self.host, Some(&path)).map(drop)
            } else {
                let now = self.host.wall();
                self.host.files().lock().create_directories(&path, now)
            };
            if let Err(error) = made {
                code = self.complain(&format!("{name}: {argument}: {error}"), 1);
            }
        }
        code
    }

    /// Takes the redirections out of `words` and opens what they name.
    fn redirect(&self, words: &mut Vec<String>) -> std::io::Result<(Output, Output)> {
        let (mut stdout, mut stderr) = (self.stdout.clone(), self.stderr.clone());
        while let Some(at) =
            words.iter().position(|word| matches!(word.as_str(), ">" | ">>" | "2>" | "2>>"))
        {
            let end = words.len().min(at + 2);
            let taken: Vec<String> = words.drain(at..end).collect();
            let target = taken.get(1).map_or("", String::as_str);
            let append = taken[0].ends_with(">>");
            let output = match target {
                "&1" => stdout.clone(),
                "&2" => stderr.clone(),
                "/dev/null" => Output::default(),
                _ if append => Output::open(&self.host, Some(&self.path(target)))?,
                _ => Output::create(&self.host, &self.path(target))?,
            };
            if taken[0].starts_with('2') {
                stderr = output;
            } else {
                stdout = output;
            }
        }
        Ok((stdout, stderr))
    }
}

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || character == '_')
}
