//! How many processes a second can be launched and waited for: the floor under every task's start.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use orrery_runtime::{Command, ExitStatus, Runtime};

fn command() -> Command {
    Command {
        program: PathBuf::from("/bin/true"),
        arguments: vec!["true".to_owned()],
        environment: vec![("PATH".to_owned(), "/bin".to_owned())],
        working_directory: PathBuf::from("/"),
        new_session: true,
        ..Command::default()
    }
}

async fn launch_and_wait(runtime: Runtime, command: Command) {
    let process = runtime.processes.launch(command).await.expect("/bin/true starts");
    let status = runtime.processes.wait(process).await.expect("it is ours");
    assert_eq!(status, ExitStatus::Exited(0));
}

fn launches(criterion: &mut Criterion) {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    let runtime = tokio.block_on(async { orrery_runtime_real::runtime() });
    let mut group = criterion.benchmark_group("launch /bin/true");

    group.throughput(Throughput::Elements(1));
    group.bench_function("one after another", |bench| {
        bench.iter(|| tokio.block_on(launch_and_wait(runtime.clone(), command())));
    });
    // Only root may become somebody else.
    if std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
    {
        group.bench_function("as another user", |bench| {
            bench.iter(|| {
                let command = Command { user: Some("nobody".to_owned()), ..command() };
                tokio.block_on(launch_and_wait(runtime.clone(), command));
            });
        });
    }

    const AT_ONCE: u64 = 64;
    group.throughput(Throughput::Elements(AT_ONCE));
    group.bench_function("64 at once", |bench| {
        bench.iter(|| {
            tokio.block_on(async {
                let launches = (0..AT_ONCE)
                    .map(|_| tokio::spawn(launch_and_wait(runtime.clone(), command())))
                    .collect::<Vec<_>>();
                for launch in launches {
                    launch.await.expect("the launch does not panic");
                }
            });
        });
    });
    group.finish();
}

criterion_group!(benches, launches);
criterion_main!(benches);
