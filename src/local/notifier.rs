//! Notices on a laptop: a file each, kept up to date, and a line on the terminal when it is new.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::model::sha256_hex;
use crate::ports::{ErrorKind, Notice, Notifier, PortError, PortResult};
use crate::report::markdown;

/// Shows a new notice to a person.
pub type Show = Arc<dyn Fn(&Notice) + Send + Sync>;

/// Keeps each notice as a Markdown file named by its key, so that it is made once.
pub struct FileNotifier {
    folder: PathBuf,
    show: Show,
}

impl FileNotifier {
    /// Notices go to `folder`, which is made when first needed; `show` is called for each new one.
    #[must_use]
    pub fn new(folder: PathBuf, show: Show) -> Self {
        Self { folder, show }
    }
}

#[async_trait]
impl Notifier for FileNotifier {
    async fn ensure_notice(&self, notice: &Notice) -> PortResult<String> {
        let name = sha256_hex(&[notice.key.as_bytes()]);
        let path = self.folder.join(format!("{}.md", name.get(..24).unwrap_or(&name)));
        let text = format!("# {}\n\n{}", markdown::text(&notice.headline), notice.body);
        let failed = |e: std::io::Error| {
            let attempted = format!("write the notice {}; is the disk full or read-only?", path.display());
            PortError::new("notifier", attempted, ErrorKind::Unavailable).caused_by(e)
        };
        if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
            return Ok(path.display().to_string());
        }
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        match file.persist_noclobber(&path) {
            Ok(_) => (self.show)(notice),
            // It was told before; what changed since is no news.
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                error.file.persist(&path).map_err(|e| failed(e.error))?;
            }
            Err(error) => return Err(failed(error.error)),
        }
        Ok(path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NoticeKind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_notice_is_shown_once_and_kept_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let shown = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&shown);
        let show: Show = Arc::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let notifier = FileNotifier::new(folder.path().join("notices"), show);
        let notice = Notice {
            key: "case-g1".into(),
            kind: NoticeKind::PullRequest,
            headline: "h".into(),
            body: "b".into(),
            repository: "acme/shop".into(),
            link: None,
            for_senior: true,
            earlier: None,
            since: 0,
        };
        let first = notifier.ensure_notice(&notice).await.unwrap();
        let second = notifier.ensure_notice(&notice).await.unwrap();
        let merged = Notice { body: "merged".into(), ..notice };
        let third = notifier.ensure_notice(&merged).await.unwrap();
        assert_eq!((&first, &first), (&second, &third));
        assert_eq!(shown.load(Ordering::SeqCst), 1);
        assert_eq!(fs::read_to_string(first).unwrap(), "# h\n\nmerged");
    }
}
