//! What to do about a refusal where HAProxy's own words do not say it.

/// What makes HAProxy 3.3 and later take a file in which frontends and backends have one name.
pub(crate) const FRONTEND_NAME: &str = "set `frontend_name: \"%{name}-in\"` in the top-level `haproxy` section: frontends then have names of \
     their own, which HAProxy 3.3 and later ask for";

/// Why HAProxy was not brought up to date, and what to do about it where that is known.
pub(super) fn advised(cause: String) -> String {
    // `backend 'web' has the same name as frontend 'web' declared at …. This is no longer supported as of 3.3. …`
    let refused = cause.contains("has the same name as ") && cause.contains("no longer supported as of 3.3");
    if refused { format!("{cause}; {FRONTEND_NAME}") } else { cause }
}
