//! What Prometheus is given, as Prometheus judges it.

use std::process::Command;

use e2e::Dir;

/// What Prometheus's own tool says is wrong with it: `what` is `rules` or `config`.
pub(crate) fn check(what: &str, text: &str) -> Result<(), String> {
    let dir = Dir::new("promtool");
    let path = dir.write("prometheus.yaml", text);
    let output = Command::new("promtool").args(["check", what]).arg(path).output();
    let output = output.map_err(|error| format!("promtool, of Debian's package prometheus: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn live_a_rule_that_is_none_is_found() {
    let rules = "groups: [{name: a, rules: [{alert: B, expr: 'up == '}]}]";
    assert!(check("rules", rules).unwrap_err().contains("parse error"));
}
