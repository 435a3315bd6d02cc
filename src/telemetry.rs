//! Logs: one line an event, JSON when nobody looks. Never a secret, a body or a payload.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Begins logging to standard error. `filter` is in the syntax of `tracing_subscriber::EnvFilter`, for example
/// `info,codehealer=debug`. Libraries that would log addresses with queries in them stay at `warn`.
pub fn begin(filter: Option<&str>, default: &str, colour: bool) {
    let filter = format!("{},hyper=warn,reqwest=warn", filter.unwrap_or(default));
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(default));
    let to_person = std::io::stderr().is_terminal();
    let subscriber = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, in tests, keeps the first subscriber.
    let _ = if to_person {
        subscriber.with_ansi(colour).with_target(false).compact().try_init()
    } else {
        subscriber.with_ansi(false).json().flatten_event(true).try_init()
    };
}

/// Begins logging where only machines read and everything is kept: JSON whoever looks, and of libraries nothing below `warn`,
/// whatever `filter` says: their lines hold search texts, addresses and bodies. A panic is told by its place alone, since
/// its words may be a repository's.
pub fn begin_in_function(filter: Option<&str>) {
    let _ = for_function(filter, std::io::stderr).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "the program broke down");
    }));
}

fn for_function<W>(filter: Option<&str>, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter.and_then(|filter| EnvFilter::try_new(filter).ok()).unwrap_or_else(|| EnvFilter::new("info"));
    let lines = fmt::layer().with_writer(writer).with_ansi(false).json().flatten_event(true).with_span_list(true);
    tracing_subscriber::registry().with(lines.with_current_span(false).with_filter(filter_fn(may_be_kept))).with(filter)
}

fn may_be_kept(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(env!("CARGO_CRATE_NAME")) || *metadata.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: Option<&str>, work: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(for_function(filter, move || writer.clone()), work);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn libraries_tell_nothing_below_a_warning_whatever_is_asked_for() {
        for filter in
            [None, Some("trace"), Some("slack_morphism=trace,hyper=debug,aws_smithy_runtime=trace"), Some("??")]
        {
            let lines = logged(filter, || {
                tracing::info!(target: "slack_morphism::client", url = "https://slack/search?query=secret", "get");
                tracing::debug!(target: "hyper::proto", "body");
                tracing::trace!(target: "aws_smithy_runtime::client", "request");
                tracing::info!(target: "octocrab", "x");
                tracing::debug!(target: "opensearch", "x");
                tracing::trace!(target: "lambda_runtime::layers", body = "{}", "raw JSON event");
            });
            assert_eq!(lines, Vec::<Value>::new(), "{filter:?}");
        }
    }

    #[test]
    fn a_line_has_the_ids_of_what_it_belongs_to() {
        let lines = logged(None, || {
            let invocation = tracing::info_span!("invocation", request_id = "r-1").entered();
            let task = tracing::info_span!("task", case = tracing::field::Empty).entered();
            task.record("case", "c-1");
            tracing::info!(attempt = 2, "here");
            drop((task, invocation));
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&line["message"], &line["attempt"], &line["level"]), (&"here".into(), &2.into(), &"INFO".into()));
        assert_eq!((&line["spans"][0]["request_id"], &line["spans"][1]["case"]), (&"r-1".into(), &"c-1".into()));
    }
}
