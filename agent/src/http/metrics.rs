//! The report as metrics. `docs/metrics.md` describes each.

use std::fmt::Error;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use super::report::{Report, Service};

/// The text that Prometheus reads, in its own format or in that of OpenMetrics (`open`).
///
/// It is made of nothing but the report: a service that is there no more leaves no series.
pub(super) fn text(report: &Report, open: bool) -> Result<String, Error> {
    let mut out = String::new();
    let mut registry = Registry::with_prefix("synapse");
    // What is registered has to live for ever.
    registry.register_collector(Box::new(Scrape { report: report.clone(), open }));
    text::encode_registry(&mut out, &registry)?;
    if open {
        text::encode_eof(&mut out)?;
    }
    Ok(out)
}

#[derive(Debug)]
struct Scrape {
    report: Report,
    open: bool,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut scrape = Writer { encoder, open: self.open };
        self.agent(&mut scrape)?;
        self.services(&mut scrape)?;
        self.output(&mut scrape)
    }
}

/// What there is to say of one service.
struct OfService {
    name: &'static str,
    help: &'static str,
    value: fn(&Service) -> Option<f64>,
}

const OF_SERVICES: [OfService; 8] = [
    OfService {
        name: "service_up",
        help: "Whether the last answer of the service's source was good",
        value: |service| Some(flag(service.state == "ok")),
    },
    OfService {
        name: "service_stale",
        help: "Whether the service's source has failed for longer than max_staleness, has ended, or never answered",
        value: |service| Some(flag(service.stale)),
    },
    OfService {
        name: "service_age_seconds",
        help: "How long ago the service's source last said what is known of it, or that it still is so",
        value: |service| service.age_seconds,
    },
    OfService {
        name: "service_failing_seconds",
        help: "How long the service's source has been failing, 0 if it is not",
        value: |service| Some(service.failing_seconds.unwrap_or(0.0)),
    },
    OfService {
        name: "service_restored",
        help: "Whether what is known of the service is what the state file has",
        value: |service| Some(flag(service.restored)),
    },
    OfService {
        name: "service_endpoints",
        help: "Endpoints of the service that are known",
        value: |service| Some(count(service.endpoints_total)),
    },
    OfService {
        name: "service_servers",
        help: "Servers that HAProxy is to use for the service",
        value: |service| Some(count(service.servers_total)),
    },
    OfService {
        name: "service_rejected",
        help: "Entries and endpoints of the service that are not served because they can't be",
        value: |service| Some(count(service.rejected_total)),
    },
];

/// What the names of totals end in.
const TOTAL: &str = "_total";

/// Totals of the output: their names in the report, and what they count.
const COUNTERS: [(&str, &str); 10] = [
    ("writes_total", "Times that HAProxy's file was written"),
    ("write_failures_total", "Times that HAProxy's file could not be read or written"),
    ("check_failures_total", "Times that the check refused a configuration, or could not be made"),
    ("reloads_total", "Reloads of HAProxy that succeeded"),
    ("reload_failures_total", "Reloads of HAProxy that failed"),
    ("changes_by_commands_total", "Changes that were made by commands alone"),
    ("commands_total", "Commands that HAProxy has carried out"),
    ("command_refusals_total", "Batches of commands that HAProxy did not carry out as it should"),
    ("repairs_total", "Changes by somebody else that were undone by commands"),
    ("files_put_back_total", "Reloads after which the last good file was put back"),
];

impl Scrape {
    fn agent(&self, scrape: &mut Writer<'_>) -> Result<(), Error> {
        let report = &self.report;
        scrape.labelled(
            "build_info",
            "The version of synapse-rs that runs",
            &[("version", report.version.as_str())],
            1.0,
        )?;
        scrape.gauge("alive", "Whether the loop that applies gives signs of life", flag(report.alive))?;
        scrape.gauge("ready", "Whether /readyz says that the agent is ready", flag(report.ready))?;
        scrape.gauge("services", "Services in the configuration", count(report.services.len()))?;
        let started = "Since when it runs, in seconds since 1970";
        scrape.gauge("start_timestamp_seconds", started, report.started_at)?;
        let configuration = &report.configuration;
        scrape.gauge(
            "configuration_timestamp_seconds",
            "Since when the configuration that is in use is, in seconds since 1970",
            configuration.since_at,
        )?;
        scrape.gauge(
            "configuration_refused",
            "Whether the newest configuration is not in use because something is wrong with it",
            flag(configuration.error.is_some()),
        )?;
        scrape.counter(
            "configurations_taken_total",
            "Configurations that were taken over since the start, the first not counted",
            configuration.taken,
        )?;
        if let Some(file) = &report.state_file {
            scrape.gauge(
                "state_file_failed",
                "Whether the last write of the state file failed",
                flag(file.error.is_some()),
            )?;
            scrape.counter(
                "state_file_writes_total",
                "Times that the state file was written",
                file.writes,
            )?;
        }
        if let Some(files) = &report.file_output {
            scrape.gauge(
                "file_output_failing",
                "Services whose files of file_output could not be written",
                count(files.failing),
            )?;
        }
        if let Some(statsd) = &report.statsd {
            scrape.gauge(
                "statsd_failed",
                "Whether it is not known where the statsd server is",
                flag(statsd.error.is_some()),
            )?;
            scrape.counter(
                "statsd_dropped_lines_total",
                "Lines for statsd that could not be sent soon enough",
                statsd.dropped,
            )?;
        }
        Ok(())
    }

    fn services(&self, scrape: &mut Writer<'_>) -> Result<(), Error> {
        let services = &self.report.services;
        if services.is_empty() {
            return Ok(());
        }
        for OfService { name, help, value } in OF_SERVICES {
            let mut family = scrape.family(name, help, MetricType::Gauge)?;
            for service in services {
                if let Some(value) = value(service) {
                    let labels = [("service", service.name.as_str()), ("method", service.method.as_str())];
                    family.encode_family(&labels)?.encode_gauge(&value)?;
                }
            }
        }
        let (name, help) = ("service_failures_total", "Times that the service's source has failed");
        let mut family = scrape.family(name, help, MetricType::Counter)?;
        for service in services {
            let labels = [("service", service.name.as_str()), ("method", service.method.as_str())];
            total(self.open, &mut family.encode_family(&labels)?, service.failures)?;
        }
        Ok(())
    }

    fn output(&self, scrape: &mut Writer<'_>) -> Result<(), Error> {
        let output = &self.report.output;
        if let Some(at) = output.applied_at {
            scrape.gauge(
                "applied_timestamp_seconds",
                "When HAProxy was last brought to what it should run, or found to run it, in seconds since 1970",
                at,
            )?;
        }
        if let Some(at) = output.changed_at {
            scrape.gauge(
                "changed_timestamp_seconds",
                "When something was last changed for HAProxy, in seconds since 1970",
                at,
            )?;
        }
        scrape.gauge(
            "apply_failed",
            "Whether the last attempt to bring HAProxy up to date failed",
            flag(output.error.is_some()),
        )?;
        scrape.gauge(
            "apply_pending",
            "Whether a change waits for the pace of reloads, or to settle",
            flag(output.pending.is_some()),
        )?;
        scrape.gauge(
            "file_behind_seconds",
            "How long HAProxy's file has not held what HAProxy runs, 0 if it does",
            output.behind_seconds.unwrap_or(0.0),
        )?;
        scrape.gauge(
            "file_failed",
            "Whether HAProxy's file can't be written to follow what HAProxy runs",
            flag(output.behind_error.is_some()),
        )?;
        scrape.gauge(
            "unloaded_seconds",
            "How long HAProxy has not run what its file holds, because nobody has had it loaded, 0 if it does",
            output.unloaded_seconds.unwrap_or(0.0),
        )?;
        if let Some(haproxy) = &output.haproxy {
            scrape.gauge(
                "haproxy_up",
                "Whether HAProxy takes commands on its socket, as it was last found",
                flag(haproxy.trouble.is_none()),
            )?;
            if let Some(version) = &haproxy.version {
                let labels = [("version", version.as_str())];
                scrape.labelled("haproxy_info", "The version of HAProxy that runs", &labels, 1.0)?;
            }
            scrape.gauge(
                "foreign_servers",
                "Servers that somebody else has added, and that are let be",
                count(output.foreign_servers.len()),
            )?;
        }
        for (name, help) in COUNTERS {
            if let Some(count) = output.counters.get(name.trim_end_matches(TOTAL)) {
                scrape.counter(name, help, *count)?;
            }
        }
        Ok(())
    }
}

/// Writes metrics, one after the other.
struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
    open: bool,
}

impl Writer<'_> {
    /// In OpenMetrics the suffix is of a counter's value, in Prometheus' own format of its name.
    fn family<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, Error> {
        let name = if self.open { name.trim_end_matches(TOTAL) } else { name };
        self.encoder.encode_descriptor(name, help, None, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn labelled(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge)?.encode_family(&labels)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let open = self.open;
        total(open, &mut self.family(name, help, MetricType::Counter)?, value)
    }
}

/// The value of a counter, with the suffix that its name does not have.
fn total(open: bool, encoder: &mut MetricEncoder<'_>, value: u64) -> Result<(), Error> {
    if open {
        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
    } else {
        encoder.encode_gauge(&value)
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// There are never so many that the fraction of a number would not do.
#[expect(clippy::cast_precision_loss, reason = "there are never 2^53 of anything")]
fn count(of: usize) -> f64 {
    of as f64
}
