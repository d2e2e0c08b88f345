//! `orrery local`: a master and agents in one process, to try things out.

use std::path::Path;
use std::process::ExitCode;

use orrery_flags::{FlagError, FlagSpec, Flags, parse, tables};
use orrery_net_agent::Options as AgentOptions;
use orrery_runtime::{Address, Runtime};
use tracing::info;

use crate::daemon::{self, Stop};
use crate::failure::Failure;
use crate::invocation::{Invocation, read_file, say};
use crate::{agent, host, logging, master, work_dir};

/// Runs a cluster until a signal stops it; its tasks are killed then.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let about = "Runs a master and agents in this process, to try things out.";
    let Some(flags) = invocation.flags(about, &tables::local())? else {
        return Ok(ExitCode::SUCCESS);
    };
    logging::start(&flags)?;
    let temporary;
    let work_dir = match flags.get("work_dir") {
        Some(folder) => master::absolute(folder),
        None => {
            temporary = tempfile::Builder::new()
                .prefix("orrery-")
                .tempdir()
                .map_err(|error| Failure::Other(format!("no temporary folder: {error}")))?;
            temporary.path().to_owned()
        }
    };
    let _held = work_dir::hold(&work_dir)?;
    let cluster = Cluster { invocation, flags: &flags, work_dir: &work_dir };
    daemon::run(async {
        let mut stop = Stop::listen()?;
        let runtime = orrery_runtime_real::runtime();
        let mut running = cluster.start(&runtime).await?;
        running.announce(&work_dir);
        let end = tokio::select! {
            biased;
            signal = stop.asked() => {
                info!(signal, "stopping");
                Ok(ExitCode::SUCCESS)
            }
            ended = running.master.ended() => Err(Failure::because(ended)),
        };
        stop.unless_asked_again(running.stop()).await;
        end
    })
}

/// What a cluster is made from.
struct Cluster<'a> {
    invocation: &'a Invocation,
    flags: &'a Flags,
    work_dir: &'a Path,
}

impl Cluster<'_> {
    async fn start(&self, runtime: &Runtime) -> Result<Running, Failure> {
        let agents: u16 = self.flags.value("agents");
        let options = master::options(&self.master_flags()?)?;
        if let Some(last) = agents.checked_sub(1) {
            // What is wrong with the agents' flags is told before anything runs. Which port the
            // system will choose for the master is not known yet.
            self.agent_options(options.port.max(1), last)?;
        }
        let master =
            orrery_net_master::start(runtime.clone(), options).await.map_err(Failure::because)?;
        let mut running = Running { master, agents: Vec::new() };
        for number in 0..agents {
            let options = self.agent_options(running.master.address.port(), number)?;
            match orrery_net_agent::start(runtime.clone(), options).await {
                Ok(agent) => running.agents.push(agent),
                Err(error) => {
                    running.stop().await;
                    return Err(Failure::because(error));
                }
            }
        }
        Ok(running)
    }

    fn agent_options(&self, master_port: u16, number: u16) -> Result<AgentOptions, FlagError> {
        agent::options(&self.agent_flags(master_port, number)?)
    }

    fn master_flags(&self) -> Result<Flags, FlagError> {
        let mut args = vec![
            format!("--ip={}", host::ip(self.flags)),
            format!("--port={}", self.flags.value::<u16>("port")),
            format!("--work_dir={}", self.work_dir.join("master").display()),
        ];
        args.extend(self.passed_on("cluster"));
        self.complete(&tables::master(), args)
    }

    /// Agents take the ports after the master's, unless the system chooses ports.
    fn agent_flags(&self, master_port: u16, number: u16) -> Result<Flags, FlagError> {
        let chosen = self.flags.value::<u16>("port");
        let port = if chosen == 0 { 0 } else { self.port(chosen, number)? };
        let ip = host::ip(self.flags);
        let work_dir = self.work_dir.join("agents").join(number.to_string());
        let mut args = vec![
            format!("--master={}", Address::new(ip.to_string(), master_port)),
            format!("--ip={ip}"),
            format!("--port={port}"),
            format!("--work_dir={}", work_dir.display()),
        ];
        args.extend(self.passed_on("resources"));
        args.extend(self.passed_on("attributes"));
        if !host::is_root() {
            args.push("--no-switch_user".to_owned());
        }
        self.complete(&tables::agent(), args)
    }

    fn port(&self, first: u16, number: u16) -> Result<u16, FlagError> {
        let port = number.checked_add(1).and_then(|offset| first.checked_add(offset));
        port.ok_or_else(|| FlagError::Invalid {
            flag: "--port".to_owned(),
            value: first.to_string(),
            expected: "a port that leaves one for each agent after it".to_owned(),
        })
    }

    fn passed_on(&self, name: &str) -> Option<String> {
        self.flags.get::<String>(name).map(|value| format!("--{name}={value}"))
    }

    /// What is not said here comes from the environment, as for the daemons themselves.
    fn complete(&self, specs: &[FlagSpec], args: Vec<String>) -> Result<Flags, FlagError> {
        let invocation = self.invocation;
        parse(&invocation.name, specs, &args, &invocation.environment, &read_file)
    }
}

/// A running cluster.
struct Running {
    master: orrery_net_master::Running,
    agents: Vec<orrery_net_agent::Running>,
}

impl Running {
    /// Tells the user where things are.
    fn announce(&self, work_dir: &Path) {
        say(&format!("master listens on http://{}", self.master.address));
        for agent in &self.agents {
            say(&format!("agent listens on http://{}", agent.address));
        }
        say(&format!("work directory is {}", work_dir.display()));
        say("Ctrl-C stops it and kills its tasks");
    }

    /// Agents first, so that frameworks still hear how their tasks end.
    async fn stop(self) {
        for agent in self.agents {
            agent.leave().await;
        }
        self.master.stop().await;
    }
}
