//! Nothing lost, nothing added: every terminal's every day, asked back from the restarted service over gRPC.
//!
//! Not responsible for what ought to be there (`reports`).

use std::time::Duration;

use classpulse_proto::v1::{GetTerminalDayRequest, MinuteRun, usage_client::UsageClient};
use futures::{StreamExt as _, stream};
use jiff::civil::Date;

use crate::{reports::Reports, setup};

/// Questions under way at once.
const AT_ONCE: usize = 32;

/// Compares everything with what was sent; `sent` is how many reports each terminal has sent.
/// Returns how many minutes were compared.
pub(crate) fn everything(api: u16, reports: &Reports, sent: &[u64]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = UsageClient::connect(format!("http://127.0.0.1:{api}"))
            .await
            .expect("the service");
        let wanted = sent.iter().enumerate().flat_map(|(terminal, count)| {
            let days = reports.expected(terminal, *count);
            days.into_iter().map(move |day| (terminal, day))
        });
        let checks = stream::iter(wanted).map(|(terminal, (date, powered, used))| {
            let client = client.clone();
            async move {
                let found = ask(client, terminal, date).await;
                let name = setup::terminal(terminal);
                assert_eq!(found.0, powered, "powered minutes of {name} on {date}");
                assert_eq!(found.1, used, "used minutes of {name} on {date}");
                powered
                    .iter()
                    .map(|run| u64::from(run.end - run.start))
                    .sum::<u64>()
            }
        });
        checks
            .buffer_unordered(AT_ONCE)
            .fold(0, |sum, minutes| async move { sum + minutes })
            .await
    })
}

async fn ask(
    mut client: UsageClient<tonic::transport::Channel>,
    terminal: usize,
    date: Date,
) -> (Vec<MinuteRun>, Vec<MinuteRun>) {
    let question = GetTerminalDayRequest {
        terminal: setup::terminal(terminal),
        date: date.to_string(),
    };
    for attempt in 1.. {
        match client.get_terminal_day(question.clone()).await {
            Ok(day) => {
                let day = day.into_inner();
                return (day.powered, day.used);
            }
            // A service that has just started may be busy with its rollup.
            Err(error) if attempt < 20 => {
                drop(error);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{}: {error}", question.terminal),
        }
    }
    unreachable!("it returns or panics")
}
