//! Where metrics are sent, if they are.

use std::{collections::BTreeMap, num::NonZeroU16};

use super::{Port, Problem, Section, de::nearest, raw};
use crate::statsd::METRICS;

/// A server that is sent metrics.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statsd {
    pub(crate) host: String,
    pub(crate) port: NonZeroU16,
    /// Which share of a metric is sent, from 0 to 1; of those that are not there, all.
    pub(crate) sample_rate: BTreeMap<String, f64>,
}

/// The port that statsd servers listen on.
const PORT: NonZeroU16 = NonZeroU16::new(8125).expect("it is not 0");

/// Reads the section of that name at the top. `None`: there is none, or there were problems.
pub(super) fn read(
    root: &Section,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Statsd> {
    let section = root.section("statsd").filter(|_| root.has("statsd"))?;
    let raw = section.recover::<raw::Statsd>(problems)?;
    let before = problems.len();
    let host = raw.host.unwrap_or_else(|| "localhost".to_owned());
    if host.trim().is_empty() {
        problems.push(section.problem_at("host", "the host is empty"));
    }
    let rates = section.section("sample_rate").unwrap_or_else(|| section.clone());
    for (metric, rate) in &raw.sample_rate {
        if !(0.0..=1.0).contains(rate) {
            problems.push(rates.problem_at(metric, "expected a share from 0 to 1"));
        } else if !METRICS.contains(&metric.as_str()) {
            let meant =
                nearest(metric, METRICS.into_iter()).map(|meant| format!("; did you mean `{meant}`?"));
            let note = format!("has no effect: no such metric is sent{}", meant.unwrap_or_default());
            warnings.push(rates.problem_at(metric, note));
        }
    }
    let port = raw.port.map_or(PORT, |Port(port)| port);
    (problems.len() == before).then_some(Statsd { host, port, sample_rate: raw.sample_rate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Registry};

    fn read(text: &str) -> Result<(Option<Statsd>, Vec<String>), Vec<String>> {
        let said =
            |report: &crate::config::Report| report.problems().iter().map(ToString::to_string).collect();
        let text = format!("file_output: {{output_directory: /x}}\n{text}");
        let config = Config::parse(&text, None, &Registry::builtin()).map_err(|report| said(&report))?;
        Ok((config.statsd.clone(), said(config.warnings())))
    }

    #[test]
    fn without_the_section_nothing_is_sent_and_without_its_keys_to_this_machine() {
        assert_eq!(read(""), Ok((None, Vec::new())));
        assert_eq!(read("statsd: null\n"), Ok((None, Vec::new())));
        let here = Statsd { host: "localhost".to_owned(), port: PORT, sample_rate: BTreeMap::new() };
        assert_eq!(read("statsd: {}\n"), Ok((Some(here), Vec::new())));
        let text =
            "statsd: {host: 10.0.0.9, port: '9125', sample_rate: {synapse.retry: '0.5', synapse.start: 0}}\n";
        let (there, _) = read(text).unwrap();
        let sample_rate = [("synapse.retry".to_owned(), 0.5), ("synapse.start".to_owned(), 0.0)].into();
        let port = NonZeroU16::new(9125).unwrap();
        assert_eq!(there, Some(Statsd { host: "10.0.0.9".to_owned(), port, sample_rate }));
    }

    #[test]
    fn mistakes_are_told_where_they_stand() {
        let text =
            "statsd: {host: ' ', sample_rate: {synapse.retry: 2, synapse.start: -0.1}, port: 0, prot: 1}\n";
        assert_eq!(
            read(text).unwrap_err(),
            [
                "2:16: statsd.host: the host is empty",
                "2:50: statsd.sample_rate.\"synapse.retry\": expected a share from 0 to 1",
                "2:68: statsd.sample_rate.\"synapse.start\": expected a share from 0 to 1",
                "2:81: statsd.port: expected a port (1 to 65535), found 0",
                "2:84: statsd.prot: unknown key; did you mean `port`?",
            ]
        );
        assert_eq!(read("statsd: localhost\n").unwrap_err().len(), 1);
    }

    #[test]
    fn a_rate_for_what_is_not_sent_is_warned_of() {
        let (_, warnings) =
            read("statsd: {sample_rate: {synapse.watcher.zk.discovry: 0.1, other: 1}}\n").unwrap();
        assert_eq!(
            warnings,
            [
                "2:53: statsd.sample_rate.\"synapse.watcher.zk.discovry\": has no effect: no such metric is sent; did you mean `synapse.watcher.zk.discovery`?",
                "2:65: statsd.sample_rate.other: has no effect: no such metric is sent"
            ]
        );
    }
}
