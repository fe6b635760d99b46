use super::*;

/// Every directive, in each of its forms. HAProxy 2.6 takes all of them, in modes http and tcp.
pub(in crate::config::overlay) const ALLOWED: &[&str] = &[
    "mode http",
    "mode tcp",
    "balance roundrobin",
    "balance static-rr",
    "balance leastconn",
    "balance first",
    "balance source",
    "balance random",
    "balance random(2)",
    "balance uri",
    "balance uri whole len 10 depth 3",
    "balance uri path-only",
    "balance url_param user_id",
    "balance url_param user_id check_post",
    "balance hdr(X-User)",
    "balance hdr(host) use_domain_only",
    "balance rdp-cookie",
    "balance rdp-cookie(mstshash)",
    "hash-type consistent",
    "hash-type map-based crc32",
    "hash-type consistent sdbm avalanche",
    "fullconn 100",
    "maxconn 2147483647",
    "rate-limit sessions 100",
    "retries 0",
    "retries 3",
    "retry-on none",
    "retry-on conn-failure empty-response 503",
    "http-reuse always",
    "timeout client 1m",
    "timeout server 0",
    "timeout connect 500",
    "timeout check 100us",
    "timeout tunnel 23d",
    "cookie SRV",
    "cookie SRV insert indirect nocache httponly secure",
    "cookie SRV insert preserve maxidle 30m maxlife 8h domain .example.org",
    "cookie SRV rewrite nocache",
    "cookie SRV prefix",
    "option redispatch",
    "option redispatch -1",
    "no option redispatch",
    "option abortonclose",
    "no option http-keep-alive",
    "option tcpka",
    "option httplog",
    "option forwardfor",
    "option forwardfor except 127.0.0.0/8 header X-Client if-none",
    "option originalto except 10.0.0.1",
    "option http-restrict-req-hdr-names delete",
    "option httpchk",
    "option httpchk /health?deep=1&x=%20",
    "option httpchk GET /health",
    "option httpchk OPTIONS * HTTP/1.1",
    "option tcp-check",
    "option mysql-check user haproxy post-41",
    "option pgsql-check user haproxy",
    "option smtpchk EHLO example.org",
    "http-check disable-on-404",
    "http-check send-state",
    "http-check expect status 200",
    "http-check expect ! status 500-599,404",
    "http-check expect string ok",
    "http-check send meth GET uri /health ver HTTP/1.1 hdr Host www.example.org hdr Accept */*",
    "tcp-check send PING",
    "tcp-check send-binary 50494e47",
    "tcp-check expect ! string ERR",
    "tcp-check expect binary 2b",
    "http-request set-header X-Service web",
    "http-request add-header X-Via proxy:1",
    "http-request del-header Proxy",
    "http-response set-header Cache-Control no-store",
    "http-response del-header Server",
];

#[test]
fn what_is_allowed_is_kept_word_for_word() {
    for line in ALLOWED {
        let spaced = line.replace(' ', " \t ");
        for text in [line, spaced.as_str()] {
            assert_eq!(Directive::parse(text).expect(text).line().as_str(), *line);
        }
    }
}

#[test]
fn what_runs_reads_writes_logs_listens_or_reaches_others_is_refused_with_the_reason() {
    for (line, reason) in [
        ("bind :80", "where this machine listens"),
        ("bind unix@/tmp/s", "where this machine listens"),
        ("external-check command /bin/sh", "it runs a command"),
        ("option external-check", "it runs a command"),
        ("errorfile 503 /etc/shadow", "it makes HAProxy read a file"),
        ("errorfiles x", "it makes HAProxy read a file"),
        ("load-server-state-from-file global", "it makes HAProxy read a file"),
        ("server-state-file-name x", "it makes HAProxy read a file"),
        ("log 10.6.6.6:514 local0", "what is logged"),
        ("no log", "what is logged"),
        ("email-alert mailers x", "what is logged"),
        ("capture request header Authorization len 99", "what is logged"),
        ("server evil 10.6.6.6:80", "servers are announced"),
        ("server-template evil 5 evil.example:80", "servers are announced"),
        ("dispatch 10.6.6.6:80", "servers are announced"),
        ("default-server ssl verify none", "servers are announced"),
        ("source 0.0.0.0 usesrc clientip", "servers are announced"),
        ("use_backend other if TRUE", "other parts of the file"),
        ("default_backend other", "other parts of the file"),
        ("filter spoe engine x config /tmp/x", "other parts of the file"),
        ("stick-table type ip size 100g", "other parts of the file"),
        ("id 1", "other parts of the file"),
        ("stats enable", "what HAProxy shows of itself"),
        ("stats admin if TRUE", "what HAProxy shows of itself"),
        ("disabled", "whether HAProxy serves"),
        ("acl a src -f /etc/shadow", "it can evaluate expressions"),
        ("http-request use-service lua.shell", "it can evaluate expressions"),
        ("http-request lua.shell", "it can evaluate expressions"),
        ("http-request return file /etc/shadow", "it can evaluate expressions"),
        ("http-request set-map(/tmp/x) a b", "it can evaluate expressions"),
        ("http-request set-var(proc.x) str(a)", "it can evaluate expressions"),
        ("tcp-request content lua.shell", "it can evaluate expressions"),
        ("redirect prefix http://evil.example", "it can evaluate expressions"),
        ("http-check connect addr 10.6.6.6 port 22", "checks go to the servers"),
        ("tcp-check connect port 22", "checks go to the servers"),
        ("http-check set-var(check.x) env(HOME)", "only `expect`"),
        ("frobnicate", "it is not among"),
        ("BALANCE roundrobin", "it is not among"),
        ("no", "it is no directive"),
        ("no option httpchk", "it is not among"),
        ("option frobnicate", "it is not among"),
        ("option dontlog-normal", "it is not among"),
        (".if defined(X)", "it is not among"),
    ] {
        let refused = Directive::parse(line).expect_err(line);
        assert!(
            refused.contains("a registry may not use it") && refused.contains(reason),
            "{line}: {refused}"
        );
    }
}

#[test]
fn what_haproxy_would_refuse_is_refused_here_so_that_it_does_not_keep_back_other_services() {
    for line in [
        "mode health",
        "mode",
        "balance",
        "balance uri len",
        "balance random(0)",
        "balance random(1000000000)",
        "balance hdr()",
        "balance hdr(a b)",
        "balance roundrobin roundrobin",
        "hash-type consistent none",
        "maxconn 0",
        "maxconn -1",
        "maxconn 2147483648",
        "retries 101",
        "retry-on",
        "retry-on none 503",
        "retry-on 200",
        "http-reuse sometimes",
        "timeout",
        "timeout server",
        "timeout server 25d",
        "timeout server 99999999999999999999",
        "timeout server 1w",
        "timeout server -1s",
        "timeout frobnicate 1s",
        "cookie",
        "cookie SRV insert rewrite",
        "cookie SRV rewrite indirect",
        "cookie SRV prefix preserve",
        "cookie SRV dynamic",
        "cookie SRV insert domain",
        "option abortonclose now",
        "option httpchk health",
        "option httpchk get /",
        "option httpchk GET / HTTP/9",
        "option forwardfor except everyone",
        "option forwardfor except 10.0.0.0/33",
        "option originalto if-none",
        "option pgsql-check",
        "http-check expect status 2xx",
        "http-check expect status 299-200",
        "http-check expect rstring (",
        "http-check send hdr Host",
        "http-check send hdr X %[env(HOME)]",
        "tcp-check send-binary 123",
        "tcp-check send",
        "http-request set-header X %[env(HOME)]",
        "http-request set-header X",
        "http-request set-header X y if TRUE",
        "http-request del-header X -m reg .*",
    ] {
        let refused = Directive::parse(line).expect_err(line);
        assert!(refused.starts_with('"'), "{line}: {refused}");
    }
}

#[test]
fn nothing_can_change_how_words_are_told_apart() {
    for line in [
        "balance \"roundrobin\"",
        "balance 'roundrobin'",
        "timeout\\ server 1s",
        "http-request set-header X $HOME",
        "http-request set-header X \"${HOME}\"",
        "balance roundrobin # and more",
        "balance roundrobin\rbind :80",
        "balance roundrobin\0",
        "balance round\u{a0}robin",
        "http-request set-header X é",
        "http-request set-header X {",
    ] {
        assert!(Directive::parse(line).is_err(), "{line:?}");
    }
    // A line feed is a blank here, and no line ever holds two.
    assert_eq!(Directive::parse("balance\nroundrobin").unwrap().line().as_str(), "balance roundrobin");
}

#[test]
fn a_line_is_bounded_and_a_refusal_is_short() {
    assert!(Directive::parse(&format!("http-request set-header X {}", "x".repeat(500))).is_err());
    assert!(Directive::parse(&"nocache ".repeat(33)).is_err());
    let refused = Directive::parse(&"x".repeat(500)).unwrap_err();
    assert!(refused.len() < 200, "{refused}");
}
