//! From a SARIF artifact location to a path of the repository.

use std::collections::BTreeSet;

use super::format::{ArtifactLocation, Run};
use crate::model::RepoPath;

/// The path that a location names.
///
/// # Errors
/// When it is no file of the repository, or looks like an attempt to leave it.
pub(super) fn path(run: &Run, location: Option<&ArtifactLocation>, root: Option<&str>) -> Result<RepoPath, String> {
    let location = location.ok_or("it names no file")?;
    let indexed = location.index.and_then(|index| run.artifacts.get(usize::try_from(index).ok()?));
    let location = match (&location.uri, indexed.and_then(|artifact| artifact.location.as_ref())) {
        (None, Some(listed)) => listed,
        _ => location,
    };
    let uri = location.uri.as_deref().filter(|uri| !uri.is_empty()).ok_or("it names no file")?;
    let decoded = decode(uri).ok_or_else(|| format!("{uri:?} is not percent-encoded UTF-8"))?;
    let relative = match absolute(&decoded) {
        Some(file) => below_a_root(run, file?, root)?,
        None => below_its_base(run, location, &decoded, root)?,
    };
    RepoPath::new(without_dots(&relative)).map_err(|error| error.to_string())
}

/// The file system path of an absolute location; an error for other schemes; `None` for a relative reference.
fn absolute(uri: &str) -> Option<Result<&str, String>> {
    if let Some(rest) = uri.strip_prefix("file:") {
        let path = rest.strip_prefix("//").unwrap_or(rest);
        // `file://host/path` names another machine; `file:///path` and `file://localhost/path` this one.
        return Some(match path.strip_prefix("localhost").unwrap_or(path) {
            local if local.starts_with('/') => Ok(local),
            _ => Err(format!("{uri:?} is on another machine")),
        });
    }
    if uri.starts_with('/') {
        return Some(Ok(uri));
    }
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| scheme.len() > 1);
    let named =
        scheme.filter(|scheme| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte)));
    named.map(|_| Err(format!("{uri:?} is not a file")))
}

/// An absolute path, taken relative to the root that was scanned.
fn below_a_root(run: &Run, file: &str, root: Option<&str>) -> Result<String, String> {
    let bases = run.original_uri_base_ids.values();
    let folders = run.invocations.iter().filter_map(|invocation| invocation.working_directory.as_ref());
    let named: Vec<String> = bases.chain(folders).filter_map(|base| decode(base.uri.as_deref()?)).collect();
    let named = named.iter().filter_map(|base| absolute(base)?.ok());
    for folder in root.into_iter().chain(named) {
        let folder = folder.trim_end_matches('/');
        if let Some(inside) =
            file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).filter(|_| !folder.is_empty())
        {
            return Ok(inside.to_owned());
        }
    }
    Err(format!("{file:?} is not below the folder that was scanned"))
}

/// A relative reference, joined with the bases that it names. A base without a location of its own, or one that is the
/// scanned folder, adds nothing.
fn below_its_base(run: &Run, location: &ArtifactLocation, uri: &str, root: Option<&str>) -> Result<String, String> {
    let mut path = uri.to_owned();
    let mut next = location.uri_base_id.as_deref();
    let mut seen = BTreeSet::new();
    while let Some(base) = next.and_then(|id| seen.insert(id).then(|| run.original_uri_base_ids.get(id)).flatten()) {
        let Some(prefix) = base.uri.as_deref() else { break };
        let prefix = decode(prefix).ok_or("its base is not percent-encoded UTF-8")?;
        match absolute(&prefix) {
            Some(folder) => {
                let joined = format!("{}/{path}", folder?.trim_end_matches('/'));
                return root.map_or(Ok(path), |root| below_a_root(run, &joined, Some(root)));
            }
            None => path = format!("{}/{path}", prefix.trim_end_matches('/')),
        }
        next = base.uri_base_id.as_deref();
    }
    Ok(path)
}

fn without_dots(path: &str) -> String {
    let mut rest = path;
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter.trim_start_matches('/');
    }
    rest.to_owned()
}

/// Percent-decoded; `None` when that is not UTF-8 or not well-formed.
fn decode(uri: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(uri.len());
    let mut rest = uri.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        if *byte == b'%' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = behind.get(2..)?;
        } else {
            bytes.push(*byte);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}
