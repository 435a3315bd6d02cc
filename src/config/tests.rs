//! Defaults, file, environment and flags; what is refused.

use super::*;

fn load(text: &str, environment: &Environment, flags: Flags) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, text).unwrap();
    Config::load(environment, Flags { config: Some(path), ..flags })
}

fn home() -> Environment {
    Environment { home: Some(PathBuf::from("/home/ann")), ..Environment::default() }
}

#[test]
fn defaults_then_file_then_environment_then_flags() {
    let text = "state = '/file'\n[model]\nurl = 'http://file'\nname = 'llama'\n";
    assert_eq!(load(text, &home(), Flags::default()).unwrap().state, PathBuf::from("/file"));
    let environment = Environment { state: Some("/env".into()), model_url: Some("http://env".into()), ..home() };
    let config = load(text, &environment, Flags::default()).unwrap();
    assert_eq!(config.state, PathBuf::from("/env"));
    let model = config.models.first.unwrap();
    assert_eq!((model.url.as_str(), model.name.as_str()), ("http://env", "llama"));
    let flags = Flags { state: Some("/flag".into()), ..Flags::default() };
    assert_eq!(load(text, &environment, flags).unwrap().state, PathBuf::from("/flag"));
    let bare = load("", &home(), Flags::default()).unwrap();
    assert_eq!(bare.state, PathBuf::from("/home/ann/.local/state/codehealer"));
    assert!(bare.models.first.is_none() && bare.verify.is_none());
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for (text, name) in [("modell = 1", "modell"), ("[model]\nurl='http://a'\nkeyy='b'", "keyy")] {
        let error = load(text, &home(), Flags::default()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn values_out_of_range_name_their_key() {
    for (text, key) in [
        ("[thresholds]\nopen = 120", "thresholds.open"),
        ("[thresholds]\nopen = 50", "thresholds.draft"),
        ("[model]\nurl = 'ftp://x'", "model.url"),
        ("[ignore]\npaths = ['a[']", "ignore.paths"),
    ] {
        let error = load(text, &home(), Flags::default()).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let error = load("[serve]\nwebhook_secrets = ['hunter2hunter2']", &home(), Flags::default()).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn an_empty_secret_file_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "\n").unwrap();
    assert!(SecretSource::File(file.path().to_path_buf()).read().is_err());
}

#[test]
fn a_function_needs_no_home_whatever_it_keeps_in_the_cloud() {
    let nobody = Environment::default();
    let queue = "[aws]\nqueue = 'https://sqs/1/q'\ndead_letter_queue = 'https://sqs/1/d'\n";
    for text in [queue.to_owned(), "[aws]\ntable = 't'\n".to_owned(), format!("{queue}table = 't'\n")] {
        let state = load(&text, &nobody, Flags::default()).unwrap().state;
        assert_eq!(state, std::env::temp_dir().join("codehealer"), "{text}");
    }
    assert!(matches!(load("", &nobody, Flags::default()), Err(ConfigError::NoHome)));
}
