//! Runs the test framework against a master: `test_framework --master=HOST:PORT`.

use std::process::ExitCode;

use orrery_examples::test_framework::{Options, TestFramework};
use orrery_net_scheduler::run;
use orrery_runtime::Address;

fn main() -> ExitCode {
    // Standard output belongs to the framework's own lines.
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    match start() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("test_framework: {error}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a program of its own, outside of any daemon")]
fn start() -> Result<u8, Box<dyn std::error::Error>> {
    let mut options = Options::parse(std::env::args().skip(1))?;
    if options.user.is_empty() {
        options.user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
    }
    let master: Address = options.master.parse()?;
    let framework_info = options.framework_info();
    let framework = TestFramework::new(options, Box::new(|line| println!("{line}")))?;
    let session = orrery_net_scheduler::Options::new(vec![master], framework_info);
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome =
        tokio.block_on(async { run(orrery_runtime_real::runtime(), session, framework).await });
    Ok(outcome.framework.exit_code())
}
