//! The model: where its server is, what that speaks, how it is asked, and what it may cost.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::services::ModelProfile;
use super::{ConfigError, SecretSource};
use crate::healer::{Budgets, Limit, ModelPolicy, Prices};

/// Changed functions of a push that a model is asked about where it is a detector.
const FUNCTIONS_A_PUSH: usize = 10;

/// A model behind a plain address, and how any model is asked; with a model on SageMaker only the latter.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelFile {
    /// Base address, for example `http://127.0.0.1:8000/v1`.
    pub url: Option<String>,
    /// The model's name as the server knows it. Default: `default`.
    pub name: Option<String>,
    /// Where the key is: `env:NAME` or `file:/path`. Default: no key.
    pub key: Option<String>,
    /// What the server speaks. Default: `chat`.
    pub profile: Option<ModelProfile>,
    /// One answer may take this long, seconds, at most 60. Default: 60.
    pub timeout_seconds: Option<u64>,
    /// Has answers come piece by piece, and gives one up once nothing came for this long, seconds. Default: answers come whole.
    pub stall_seconds: Option<u64>,
    /// Answers drawn to one question, 1 to 8; fewer once two agree. Default: 3.
    pub samples: Option<u8>,
    /// How varied they are, 0 to 2. Default: 0.6.
    pub temperature: Option<f32>,
    /// Further questions with the reasons, when no answer passed the checks, at most 3. Default: 1.
    pub revisions: Option<u8>,
    /// Tokens that a question may have, estimated; what does not fit is left out. Default: 6000.
    pub question_tokens: Option<u64>,
    /// Whether verified proposals are reviewed by further calls for security, behaviour and maintainability. Default: false.
    pub council: Option<bool>,
    /// Whether the model is asked for problems in changed functions, too. What it finds is a draft at most. Default: false.
    pub detector: Option<bool>,
    /// Changed functions of one push that it is asked about, 1 to 100; each costs one question, and one more for each claim.
    /// Default: 10.
    pub functions_a_push: Option<usize>,
    /// Dollars for a million tokens of questions. Default: 0.
    pub input_price: Option<f64>,
    /// Dollars for a million tokens of answers. Default: 0.
    pub output_price: Option<f64>,
    /// Asked where the model cannot be reached.
    pub fallback: Option<OtherModelFile>,
    /// A larger model, asked where the model abstains.
    pub large: Option<OtherModelFile>,
}

/// What may be spent on models, by all workers together; what has no limit here is not limited. Windows begin at whole days, and
/// at whole thirty days, since 1970 in UTC.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetFile {
    /// Tokens for one case, however often it is healed.
    pub case_tokens: Option<u64>,
    /// Dollars for one case.
    pub case_dollars: Option<f64>,
    /// Tokens for the cases of one push.
    pub push_tokens: Option<u64>,
    /// Dollars for the cases of one push.
    pub push_dollars: Option<f64>,
    /// Tokens a day in one repository.
    pub repository_tokens: Option<u64>,
    /// Dollars a day in one repository.
    pub repository_dollars: Option<f64>,
    /// Tokens a day altogether.
    pub day_tokens: Option<u64>,
    /// Dollars a day altogether.
    pub day_dollars: Option<f64>,
    /// Tokens in thirty days altogether.
    pub month_tokens: Option<u64>,
    /// Dollars in thirty days altogether.
    pub month_dollars: Option<f64>,
}

impl BudgetFile {
    fn resolve(&self) -> Result<Budgets, ConfigError> {
        let limit = |key, tokens: Option<u64>, dollars: Option<f64>| -> Result<Limit, ConfigError> {
            Ok(Limit { tokens, micros: dollars.map(|dollars| micros(key, Some(dollars))).transpose()? })
        };
        Ok(Budgets {
            case: limit("budget.case_dollars", self.case_tokens, self.case_dollars)?,
            push: limit("budget.push_dollars", self.push_tokens, self.push_dollars)?,
            repository: limit("budget.repository_dollars", self.repository_tokens, self.repository_dollars)?,
            day: limit("budget.day_dollars", self.day_tokens, self.day_dollars)?,
            month: limit("budget.month_dollars", self.month_tokens, self.month_dollars)?,
        })
    }
}

/// A further model: behind an address, or an endpoint of SageMaker.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtherModelFile {
    /// Base address.
    pub url: Option<String>,
    /// Name of the endpoint on SageMaker.
    pub endpoint: Option<String>,
    /// Inference component, where the endpoint has several.
    pub component: Option<String>,
    /// The model's name, where the server wants one.
    pub name: Option<String>,
    /// Where the key is: `env:NAME`, `file:/path` or `aws:NAME`.
    pub key: Option<String>,
    /// What the server speaks. Default: `chat`.
    pub profile: Option<ModelProfile>,
}

/// A model behind an address, its defaults filled in.
#[derive(Debug, Clone)]
pub struct Model {
    pub url: String,
    pub name: String,
    pub key: Option<SecretSource>,
    pub profile: ModelProfile,
    pub timeout: Duration,
    pub stall: Option<Duration>,
}

/// A further model, its defaults filled in.
#[derive(Debug, Clone)]
pub enum OtherModel {
    Url(Model),
    SageMaker { endpoint: String, component: Option<String>, name: Option<String>, profile: ModelProfile },
}

/// All models but one on SageMaker that `[sagemaker]` names.
#[derive(Debug, Clone, Default)]
pub struct Models {
    pub first: Option<Model>,
    pub fallback: Option<OtherModel>,
    pub large: Option<OtherModel>,
}

impl OtherModel {
    /// Where it is, for people: never a login.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Url(model) => super::origin::without_login(&model.url),
            Self::SageMaker { endpoint, .. } => format!("sagemaker:{endpoint}"),
        }
    }
}

fn refused(key: &'static str, value: impl ToString, reason: &str) -> ConfigError {
    ConfigError::Value { key, value: value.to_string(), reason: reason.to_owned() }
}

fn address(key: &'static str, url: String) -> Result<String, ConfigError> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    Err(refused(key, super::origin::without_login(&url), "it must begin with http:// or https://"))
}

impl ModelFile {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unwrap_or(60).clamp(1, 60))
    }

    fn stall(&self) -> Option<Duration> {
        self.stall_seconds.map(|seconds| Duration::from_secs(seconds.clamp(1, 60)))
    }

    /// The models; flags and environment, in `url` and `name`, win over the file.
    pub(super) fn models(&self, url: Option<String>, name: Option<String>) -> Result<Models, ConfigError> {
        let key = self.key.as_ref().map(|key| SecretSource::parse("model.key", key)).transpose()?;
        let first = match url.or_else(|| self.url.clone()) {
            None => None,
            Some(url) => Some(Model {
                url: address("model.url", url)?,
                name: name.or_else(|| self.name.clone()).unwrap_or_else(|| "default".to_owned()),
                key,
                profile: self.profile.unwrap_or_default(),
                timeout: self.timeout(),
                stall: self.stall(),
            }),
        };
        Ok(Models {
            first,
            fallback: self.fallback.as_ref().map(|other| self.other("model.fallback", other)).transpose()?,
            large: self.large.as_ref().map(|other| self.other("model.large", other)).transpose()?,
        })
    }

    fn other(&self, section: &'static str, other: &OtherModelFile) -> Result<OtherModel, ConfigError> {
        let profile = other.profile.unwrap_or_default();
        match (other.url.clone(), other.endpoint.clone()) {
            (Some(url), None) => Ok(OtherModel::Url(Model {
                url: address(section, url)?,
                name: other.name.clone().unwrap_or_else(|| "default".to_owned()),
                key: other.key.as_ref().map(|key| SecretSource::parse(section, key)).transpose()?,
                profile,
                timeout: self.timeout(),
                stall: self.stall(),
            })),
            (None, Some(endpoint)) => Ok(OtherModel::SageMaker {
                endpoint,
                component: other.component.clone(),
                name: other.name.clone(),
                profile,
            }),
            _ => Err(refused(section, "", "give either the url of a server or the endpoint of SageMaker")),
        }
    }

    /// How a model is asked.
    pub(super) fn policy(&self, budget: &BudgetFile) -> Result<ModelPolicy, ConfigError> {
        let default = ModelPolicy::default();
        let samples = self.samples.unwrap_or(default.samples);
        if !(1..=8).contains(&samples) {
            return Err(refused("model.samples", samples, "use 1 to 8"));
        }
        let temperature = self.temperature.unwrap_or(default.temperature);
        if !(0.0..=2.0).contains(&temperature) {
            return Err(refused("model.temperature", temperature, "use 0 to 2"));
        }
        let revisions = self.revisions.unwrap_or(default.revisions);
        if revisions > 3 {
            return Err(refused("model.revisions", revisions, "use 0 to 3"));
        }
        let question_tokens = self.question_tokens.unwrap_or(default.question_tokens);
        if question_tokens < 500 {
            return Err(refused("model.question_tokens", question_tokens, "use 500 or more"));
        }
        let prices = Prices {
            input: micros("model.input_price", self.input_price)?,
            output: micros("model.output_price", self.output_price)?,
        };
        let budgets = budget.resolve()?;
        let limits = [budgets.case, budgets.push, budgets.repository, budgets.day, budgets.month];
        if prices == Prices::default() && limits.iter().any(|limit| limit.micros.is_some()) {
            let reason = "without prices nothing costs anything: set model.input_price and model.output_price";
            return Err(refused("budget", "a limit in dollars", reason));
        }
        Ok(ModelPolicy {
            samples,
            temperature,
            revisions,
            question_tokens,
            prices,
            budgets,
            council: self.council.unwrap_or(default.council),
            functions_a_push: self.functions()?,
        })
    }
}

impl ModelFile {
    /// Changed functions of a push that the model is asked about; `None` where it is no detector.
    fn functions(&self) -> Result<Option<usize>, ConfigError> {
        let most = self.functions_a_push.unwrap_or(FUNCTIONS_A_PUSH);
        if !(1..=100).contains(&most) {
            return Err(refused("model.functions_a_push", most, "use 1 to 100"));
        }
        match (self.detector.unwrap_or(false), self.functions_a_push) {
            (true, _) => Ok(Some(most)),
            (false, None) => Ok(None),
            (false, Some(_)) => {
                Err(refused("model.functions_a_push", most, "the model is no detector: set model.detector = true"))
            }
        }
    }
}

/// Dollars as millionths.
pub(super) fn micros(key: &'static str, dollars: Option<f64>) -> Result<u64, ConfigError> {
    let Some(dollars) = dollars else { return Ok(0) };
    if !(0.0..=1_000_000.0).contains(&dollars) {
        return Err(refused(key, dollars, "use dollars from 0 to 1,000,000"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a trillion")]
    let micros = (dollars * 1_000_000.0).round() as u64;
    Ok(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ModelFile {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn prices_and_samples_are_read_and_bounded() {
        let policy = file("samples = 5\ninput_price = 0.2\noutput_price = 0.6").policy(&BudgetFile::default()).unwrap();
        assert_eq!((policy.samples, policy.prices), (5, Prices { input: 200_000, output: 600_000 }));
        for (text, key) in [
            ("samples = 0", "model.samples"),
            ("samples = 9", "model.samples"),
            ("temperature = 3.0", "model.temperature"),
            ("temperature = nan", "model.temperature"),
            ("revisions = 4", "model.revisions"),
            ("question_tokens = 10", "model.question_tokens"),
            ("input_price = -1.0", "model.input_price"),
            ("output_price = inf", "model.output_price"),
            ("detector = true\nfunctions_a_push = 0", "model.functions_a_push"),
            ("detector = true\nfunctions_a_push = 101", "model.functions_a_push"),
            ("functions_a_push = 5", "model.detector"),
        ] {
            let error = file(text).policy(&BudgetFile::default()).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_model_is_no_detector_unless_that_is_said() {
        let functions = |text: &str| file(text).policy(&BudgetFile::default()).unwrap().functions_a_push;
        assert_eq!(functions(""), None);
        assert_eq!(functions("detector = false"), None);
        assert_eq!(functions("detector = true"), Some(10));
        assert_eq!(functions("detector = true\nfunctions_a_push = 3"), Some(3));
    }

    #[test]
    fn budgets_are_read_and_dollars_need_prices() {
        let budget: BudgetFile = toml::from_str("day_tokens = 1000\nmonth_dollars = 2.5").unwrap();
        let priced = file("input_price = 0.2").policy(&budget).unwrap().budgets;
        assert_eq!(priced.day, Limit { tokens: Some(1000), micros: None });
        assert_eq!(priced.month, Limit { tokens: None, micros: Some(2_500_000) });
        let error = file("").policy(&budget).unwrap_err().to_string();
        assert!(error.contains("model.input_price"), "{error}");
        let negative: BudgetFile = toml::from_str("case_dollars = -1.0").unwrap();
        assert!(file("input_price = 0.2").policy(&negative).unwrap_err().to_string().contains("budget.case_dollars"));
    }

    #[test]
    fn a_further_model_has_one_place() {
        let models =
            file("[fallback]\nurl = 'https://other/v1'\n[large]\nendpoint = 'llama-70b'").models(None, None).unwrap();
        assert!(models.first.is_none());
        assert!(matches!(models.fallback, Some(OtherModel::Url(_))));
        assert!(matches!(models.large, Some(OtherModel::SageMaker { .. })));
        for text in ["[large]\n", "[large]\nurl = 'https://a'\nendpoint = 'b'", "[fallback]\nurl = 'ftp://a'"] {
            assert!(file(text).models(None, None).is_err(), "{text}");
        }
    }
}
