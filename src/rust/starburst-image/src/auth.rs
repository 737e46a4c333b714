//! Who asks a registry: names with passwords, and the tokens that registries give for them.
use crate::{
    error::{fail, senseless},
    http::{Http, Request, Response},
};
use serde::Deserialize;
use starburst_core::error::{Error, ErrorKind};
use std::{collections::BTreeMap, fmt};
use url::Url;

/// The longest answer of a server that gives tokens.
const LONGEST_TOKEN: usize = 1 << 20;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    user: String,
    password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Login {
    /// A name and its password.
    pub fn new(user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned() }
    }

    /// The same, as registries and Docker's configuration write it: `user:password` in base 64.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = base64_simd::STANDARD.decode_to_vec(text.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self::new(user, password.trim_end_matches('\0')))
    }

    fn basic(&self) -> String {
        let text = format!("{}:{}", self.user, self.password);
        format!("Basic {}", base64_simd::STANDARD.encode_to_string(text))
    }
}

/// Logins by the host of their registry.
#[derive(Debug, Clone, Default)]
pub struct Logins(BTreeMap<String, Login>);

impl Logins {
    /// Those that `docker login` wrote into its configuration file. What another program keeps is not asked for.
    pub fn of_docker(config: &str) -> Self {
        #[derive(Deserialize, Default)]
        struct Entry {
            #[serde(default)]
            auth: String,
        }
        #[derive(Deserialize, Default)]
        struct Config {
            #[serde(default)]
            auths: BTreeMap<String, Entry>,
        }
        let config: Config = serde_json::from_str(config).unwrap_or_default();
        let host = |name: &str| {
            let name = name.trim_start_matches("https://").trim_start_matches("http://");
            let name = name.split('/').next().unwrap_or_default();
            if name == "index.docker.io" { "docker.io".to_owned() } else { name.to_owned() }
        };
        let known = config.auths.iter();
        Self(known.filter_map(|(name, e)| Some((host(name), Login::decode(&e.auth)?))).collect())
    }

    /// Adds one, instead of what was known for the registry.
    pub fn add(&mut self, registry: &str, login: Login) {
        self.0.insert(registry.to_owned(), login);
    }

    pub(crate) fn get(&self, registry: &str) -> Option<&Login> {
        self.0.get(registry)
    }
}

/// How a registry wants to know who asks.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

/// What to send along after a registry answered 401.
pub(crate) async fn answer(
    http: &Http,
    registry: &str,
    login: Option<&Login>,
    refused: &Response,
    scopes: &[String],
) -> Result<String, Error> {
    let header = refused.header("www-authenticate").unwrap_or_default();
    match read(header) {
        Some(Challenge::Basic) => {
            login.map(Login::basic).ok_or_else(|| not_known(registry, None, "it wants a password"))
        }
        Some(Challenge::Bearer { realm, service }) => {
            let mut url = Url::parse(&realm)
                .map_err(|e| senseless(registry, "signing in", format!("{realm}: {e}")))?;
            {
                let mut query = url.query_pairs_mut();
                if let Some(service) = &service {
                    query.append_pair("service", service);
                }
                for scope in scopes {
                    query.append_pair("scope", scope);
                }
            }
            let mut request = Request::get(url);
            if let Some(login) = login {
                request = request.with("authorization", login.basic());
            }
            let response = http.tried(&request).await?;
            if matches!(response.status, 400 | 401 | 403) {
                let said = format!("it gives no token: HTTP status {}", response.status);
                return Err(not_known(registry, login, &said));
            }
            token(registry, response).await
        }
        None => {
            Err(senseless(registry, "signing in", header.chars().take(300).collect::<String>()))
        }
    }
}

async fn token(registry: &str, response: Response) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Token {
        token: Option<String>,
        access_token: Option<String>,
    }
    let status = response.status;
    let senseless = |said: String| senseless(registry, "signing in", said);
    let bytes = response.bytes(LONGEST_TOKEN).await.map_err(|lost| senseless(lost.0))?;
    let found: Token = serde_json::from_slice(&bytes)
        .map_err(|_| senseless(format!("no token, HTTP status {status}")))?;
    let token = found.token.or(found.access_token).ok_or_else(|| senseless("no token".into()))?;
    Ok(format!("Bearer {token}"))
}

/// Nobody who asks in this way gets an answer.
pub(crate) fn not_known(registry: &str, login: Option<&Login>, said: &str) -> Error {
    let (message, advice) = match login {
        Some(login) => (
            format!("the registry `{registry}` does not take the password of `{}`", login.user),
            "check name and password, in `login` or by `docker login`".to_owned(),
        ),
        None => (
            format!("the registry `{registry}` wants to know who asks"),
            format!("give `login`, or sign in with `docker login {registry}`"),
        ),
    };
    fail(ErrorKind::Unauthenticated, message, registry, said, advice)
}

/// Reads `Basic realm="..."` and `Bearer realm="...",service="..."`.
fn read(header: &str) -> Option<Challenge> {
    let (kind, rest) = header.trim().split_once(' ')?;
    let value = |name: &str| {
        // Values are in quotation marks and have none inside.
        let (_, after) = rest.split_once(&format!("{name}=\""))?;
        after.split_once('"').map(|(value, _)| value.to_owned())
    };
    if kind.eq_ignore_ascii_case("basic") {
        Some(Challenge::Basic)
    } else if kind.eq_ignore_ascii_case("bearer") {
        Some(Challenge::Bearer { realm: value("realm")?, service: value("service") })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_ask_who_it_is_are_read() {
        assert_eq!(read("Basic realm=\"x\",service=\"ecr.amazonaws.com\""), Some(Challenge::Basic));
        let hub =
            "Bearer realm=\"https://a.test/t\",service=\"r.test\",scope=\"repository:a:pull\"";
        let (realm, service) = ("https://a.test/t".to_owned(), Some("r.test".to_owned()));
        assert_eq!(read(hub), Some(Challenge::Bearer { realm, service }));
        assert_eq!(read("Digest realm=\"x\""), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_logins_of_docker_are_found_and_no_password_is_shown() {
        let config = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0OndvcmQ="},
            "localhost:5000": {"auth": "bWU6c2VjcmV0OndvcmQ="},
            "kept.elsewhere": {}}, "credsStore": "desktop"}"#;
        let logins = Logins::of_docker(config);
        let login = Login::new("me", "secret:word");
        assert_eq!(logins.get("docker.io"), Some(&login));
        assert_eq!(logins.get("localhost:5000"), Some(&login));
        assert_eq!(logins.get("kept.elsewhere"), None);
        assert!(!format!("{logins:?}").contains("secret"));
        assert!(Logins::of_docker("no json").get("docker.io").is_none());
    }
}
