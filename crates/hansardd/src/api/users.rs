//! The routes of users who sign in, and their seam.

use std::sync::Arc;

use hansard_core::{Fields, Value};
use hansard_identity::SavedSearches;
use hansard_identity::role::Role;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::answers::{blocking, body, done, listed, page, there};
use super::problem::{Problem, Trouble};
use super::role::Caller;
use super::router::Handler;
use super::schema::{list as list_of, listing, object, or_null, text, time as time_schema, truth};
use super::seams::Audit;
use super::telling::changing;
use super::time;

/// A user, without what is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The name to sign in with.
    pub name: String,
    /// The role that says what the user may at the service.
    pub role: Role,
    /// Other roles, which say what the user may over SSH.
    pub roles: Vec<String>,
    /// Whether a code is asked for besides the password.
    pub has_totp: bool,
    /// When the user was made, UTC nanoseconds since 1970.
    pub created_ns: u64,
}

/// A user that was made, or whose password was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserMade {
    /// What is listed.
    pub row: UserRow,
    /// The second factor's secret, in base 32, and as a link for an authenticator. Said this once.
    pub totp: Option<(String, String)>,
}

/// A user that is wanted.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserWish {
    /// The name.
    pub name: String,
    /// The role that says what the user may at the service, by its fixed name.
    pub role: String,
    /// Other roles, which say what the user may over SSH.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The password.
    pub password: String,
    /// Whether a second factor is asked for.
    #[serde(default = "yes")]
    pub totp: bool,
}

/// Roles that are wanted.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesWish {
    roles: Vec<String>,
}

/// A password that is wanted.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordWish {
    /// The password.
    pub password: String,
    /// Whether the second factor gets another secret; one who had none has one from then on.
    #[serde(default)]
    pub new_totp: bool,
}

fn yes() -> bool {
    true
}

/// Users who sign in.
pub trait Users: Send + Sync {
    /// Users by name, after this one; at most `most`, fewer only at the end.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<UserRow>, Trouble>;

    /// Whether this one could be made now; MUST change nothing.
    ///
    /// # Errors
    /// As [`Self::make`].
    fn check(&self, wish: &UserWish) -> Result<(), Trouble>;

    /// Makes one. `Ok` MUST mean that it is durable.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn make(&self, wish: &UserWish, by: &Caller) -> Result<UserMade, Trouble>;

    /// The one of this name, if there is one.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn get(&self, name: &str) -> Result<Option<UserRow>, Trouble>;

    /// Whether a user could have this password; MUST change nothing.
    ///
    /// # Errors
    /// As [`Self::set_password`].
    fn check_password(&self, wish: &PasswordWish) -> Result<(), Trouble>;

    /// Whether a user could have these roles; MUST change nothing.
    ///
    /// # Errors
    /// As [`Self::set_roles`].
    fn check_roles(&self, roles: &[String]) -> Result<(), Trouble>;

    /// Removes one, who MUST be signed out then; `false` if there is none of that name.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn remove(&self, name: &str) -> Result<bool, Trouble>;

    /// Sets a password; whoever is signed in with the old one MUST be signed out then. `None` if
    /// there is no such user.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn set_password(&self, name: &str, wish: &PasswordWish) -> Result<Option<UserMade>, Trouble>;

    /// Sets the roles besides the one that says what the user may at the service. `None` if there is no such
    /// user.
    ///
    /// # Errors
    /// As sorted by [`Trouble`].
    fn set_roles(&self, name: &str, roles: &[String]) -> Result<Option<UserRow>, Trouble>;
}

fn row(row: &UserRow) -> Map<String, Json> {
    let fields = [
        ("name", json!(row.name)),
        ("role", json!(row.role.as_str())),
        ("roles", json!(row.roles)),
        ("totp", json!(row.has_totp)),
        ("created", json!(time::text(row.created_ns))),
    ];
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn made(made: &UserMade) -> Json {
    let mut object = row(&made.row);
    let (secret, uri) = match &made.totp {
        Some((secret, uri)) => (json!(secret), json!(uri)),
        None => (Json::Null, Json::Null),
    };
    object.insert("totp_secret".to_owned(), secret);
    object.insert("totp_uri".to_owned(), uri);
    Json::Object(object)
}

pub(super) fn list(users: Arc<dyn Users>) -> Handler {
    blocking(move |call| {
        let list = |after: Option<&str>, most| users.list(after, most);
        let (rows, next) = page(&call, list, |row| row.name.clone())?;
        let rows = rows.iter().map(|user| Json::Object(row(user))).collect();
        Ok(listed("users", rows, next, None))
    })
}

pub(super) fn make(users: Arc<dyn Users>, saved: Arc<SavedSearches>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let wish: UserWish = body(call)?;
        users.check(&wish)?;
        let roles = all_roles(&wish.role, &wish.roles);
        let about = Fields::new().with("name", wish.name.as_str());
        telling.about(about.with("roles", roles));
        telling.done()?;
        // Whoever had the name before, and was removed without this, is not whom the new one is.
        saved.forget(&wish.name).map_err(super::saved::trouble)?;
        Ok(made(&users.make(&wish, &call.caller)?))
    })
}

/// What a user may at the service, and over SSH, as an event has it.
fn all_roles(role: &str, roles: &[String]) -> Value {
    let others = roles.iter().map(String::as_str);
    let all = std::iter::once(role).chain(others);
    Value::List(all.map(Into::into).collect())
}

pub(super) fn remove(users: Arc<dyn Users>, saved: Arc<SavedSearches>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let name = call.name()?;
        // Another one of the same name finds nothing of this one. A crash before it leaves it there,
        // and removing the user again takes it.
        let forget = || saved.forget(name).map_err(super::saved::trouble);
        if users.get(name)?.is_none() {
            forget()?;
            return Err(Problem::not_found());
        }
        telling.done()?;
        there(users.remove(name)?)?;
        telling.stands();
        forget()?;
        done(true)
    })
}

pub(super) fn set_password(users: Arc<dyn Users>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let wish: PasswordWish = body(call)?;
        let name = call.name()?;
        there(users.get(name)?.is_some())?;
        users.check_password(&wish)?;
        telling.about(Fields::new().with("new_totp", wish.new_totp));
        telling.done()?;
        let set = users.set_password(name, &wish)?;
        Ok(made(&set.ok_or_else(Problem::not_found)?))
    })
}

pub(super) fn set_roles(users: Arc<dyn Users>, audit: Audit) -> Handler {
    changing(audit, move |call, telling| {
        let wish: RolesWish = body(call)?;
        let name = call.name()?;
        let before = users.get(name)?.ok_or_else(Problem::not_found)?;
        users.check_roles(&wish.roles)?;
        let after = all_roles(before.role.as_str(), &wish.roles);
        let before = all_roles(before.role.as_str(), &before.roles);
        let about = Fields::new().with("roles", after);
        telling.about(about.with("previous_roles", before));
        telling.done()?;
        let set = users.set_roles(name, &wish.roles)?;
        Ok(Json::Object(row(&set.ok_or_else(Problem::not_found)?)))
    })
}

fn user_fields() -> Vec<(&'static str, Json, &'static str)> {
    vec![
        ("name", text(), "the name to sign in with"),
        ("role", role_schema(), "what the user may at the service"),
        (
            "roles",
            list_of(&text()),
            "other roles: what the user may over SSH",
        ),
        (
            "totp",
            truth(),
            "whether a code is asked for besides the password",
        ),
        ("created", time_schema(), "when the user was made"),
    ]
}

fn role_schema() -> Json {
    json!({ "type": "string", "enum": Role::ALL.map(Role::as_str) })
}

pub(super) fn schemas() -> Vec<(&'static str, Json)> {
    let secret = "the second factor's secret, in base 32; this answer alone has it";
    let uri = "the same as a link for an authenticator (otpauth:)";
    let mut made = user_fields();
    made.push(("totp_secret", or_null(text()), secret));
    made.push(("totp_uri", or_null(text()), uri));
    let wish = [
        ("name", text(), "the name to sign in with"),
        ("role", role_schema(), "what the user may at the service"),
        (
            "roles?",
            list_of(&text()),
            "other roles: what the user may over SSH",
        ),
        ("password", text(), "at least 12 characters"),
        ("totp?", truth(), "whether a code is asked for; it is"),
    ];
    let password = [
        ("password", text(), "at least 12 characters"),
        (
            "new_totp?",
            truth(),
            "whether the second factor gets another secret",
        ),
    ];
    let signing = [
        ("user", text(), ""),
        ("password", text(), ""),
        ("code?", text(), "of the authenticator"),
    ];
    let users = listing("Users, by name.", "users", "User", false);
    vec![
        ("User", object("A user who signs in.", &user_fields())),
        ("Users", users),
        ("UserWish", object("A user that is wanted.", &wish)),
        ("UserMade", object("A user that was made.", &made)),
        (
            "UserRoles",
            object(
                "Roles that are wanted.",
                &[("roles", list_of(&text()), "all of them")],
            ),
        ),
        (
            "PasswordWish",
            object("A password that is wanted.", &password),
        ),
        ("SignIn", object("Who signs in.", &signing)),
    ]
}

/// What the web server answers itself: signing in and out.
pub(super) fn sign_in_and_out() -> [(&'static str, Json); 4] {
    let answers = |what: &str| {
        json!({
            "200": {
                "description": what,
                "content": { "application/json": { "schema": super::schema::named("Done") } },
            },
            "default": { "$ref": "#/components/responses/Problem" },
        })
    };
    let of = |name| json!({ "application/json": { "schema": super::schema::named(name) } });
    let body = of("SignIn");
    let mut challenge = answers("What is to be signed.");
    if let Some(content) = challenge.pointer_mut("/200/content") {
        *content = of("PasskeySignInChallenge");
    }
    [
        (
            "/v1/sign-in/passkey/challenge",
            json!({
                "operationId": "PasskeySignInChallenge",
                "summary": "What to sign in with by a passkey, in a browser",
                "security": [],
                "responses": challenge,
            }),
        ),
        (
            "/v1/sign-in/passkey",
            json!({
                "operationId": "PasskeySignIn",
                "summary": "Signs in with a passkey; put on record (`user.login`), whatever comes of it",
                "security": [],
                "requestBody": { "required": true, "content": of("PasskeySignIn") },
                "responses": answers("Signed in; the answer sets the cookie."),
            }),
        ),
        (
            "/v1/sign-in",
            json!({
                "operationId": "SignIn",
                "summary": "Signs in, in a browser; put on record (`user.login`), whatever comes of it",
                "security": [],
                "requestBody": { "required": true, "content": body },
                "responses": answers("Signed in; the answer sets the cookie."),
            }),
        ),
        (
            "/v1/sign-out",
            json!({
                "operationId": "SignOut",
                "summary": "Signs out, in a browser",
                "security": [{ "cookie": [] }],
                "responses": answers("Signed out; the cookie is removed."),
            }),
        ),
    ]
}
