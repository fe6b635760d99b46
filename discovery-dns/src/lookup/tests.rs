use proptest::prelude::*;

use super::*;
use crate::scripted::{Does, Scripted, address, alias, nobody, record, records, srv};

const FIRST: &str = "10.0.0.1:53";
const SECOND: &str = "10.0.0.2:53";

fn plan(search: &[&str], ndots: usize) -> Plan {
    Plan {
        nameservers: vec![FIRST.parse().unwrap(), SECOND.parse().unwrap()],
        search: search.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect(),
        ndots,
        within: Duration::from_secs(2),
    }
}

async fn ask(dns: &Scripted, plan: &Plan, question: &Question) -> Result<Answer, Failure> {
    let silent = Silent::default();
    Lookup { plan, exchange: dns, silent: &silent }.answer(question).await
}

async fn addresses(dns: &Scripted, name: &str) -> Result<Answer, Failure> {
    ask(dns, &plan(&[], 1), &Question::addresses(&name.parse().unwrap())).await
}

fn shown(answer: &Answer) -> Vec<String> {
    answer.addresses().iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn both_families_are_sorted_and_told_once() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.9", "2001:db8::1", "10.0.0.1", "10.0.0.9"]);
    let answer = addresses(&dns, "web").await.unwrap();
    assert_eq!(shown(&answer), ["10.0.0.1", "10.0.0.9", "2001:db8::1"]);
}

#[tokio::test(start_paused = true)]
async fn the_shortest_ttl_counts_aliases_and_what_is_not_there_included() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.1"]);
    assert_eq!(addresses(&dns, "web").await.unwrap().ttl, Some(Duration::from_mins(1)));
    dns.does("web", RecordType::AAAA, Does::Answer(nobody(true, Some(5))));
    assert_eq!(addresses(&dns, "web").await.unwrap().ttl, Some(Duration::from_secs(5)));
    let chain =
        vec![record("a", 30, alias("b")), record("b", 7, alias("c")), record("c", 60, address("10.0.0.1"))];
    dns.does("a", RecordType::A, Does::Answer(records(chain)));
    dns.does("a", RecordType::AAAA, Does::Answer(nobody(true, None)));
    assert_eq!(addresses(&dns, "a").await.unwrap().ttl, Some(Duration::from_secs(7)));
}

#[tokio::test(start_paused = true)]
async fn aliases_are_followed_in_any_order_and_asked_for_where_they_lead_elsewhere() {
    let dns = Scripted::default();
    let shuffled =
        vec![record("c", 60, address("10.0.0.1")), record("b", 60, alias("c")), record("A", 60, alias("B"))];
    dns.does("a", RecordType::A, Does::Answer(records(shuffled)));
    dns.does("a", RecordType::AAAA, Does::Answer(records(vec![record("a", 60, alias("elsewhere"))])));
    dns.has("elsewhere", 60, &["10.9.9.9", "2001:db8::1"]);
    let answer = addresses(&dns, "a").await.unwrap();
    assert_eq!(shown(&answer), ["10.0.0.1", "2001:db8::1"]);
}

#[tokio::test(start_paused = true)]
async fn an_alias_of_nobody_is_nobody() {
    let dns = Scripted::default();
    let gone = Response { exists: false, ..records(vec![record("a", 60, alias("b"))]) };
    let bare = Response { negative_ttl: Some(9), ..records(vec![record("a", 60, alias("b"))]) };
    dns.does("a", RecordType::A, Does::Answer(gone));
    dns.does("a", RecordType::AAAA, Does::Answer(bare));
    let answer = addresses(&dns, "a").await.unwrap();
    assert!(shown(&answer).is_empty());
    assert_eq!(answer.ttl, Some(Duration::from_secs(9)));
    assert!(dns.seen().iter().all(|seen| seen.name == "a"), "{:?}", dns.seen());
}

#[tokio::test(start_paused = true)]
async fn aliases_in_a_circle_or_without_end_are_a_failure() {
    let dns = Scripted::default();
    let circle = records(vec![record("a", 60, alias("b")), record("b", 60, alias("a"))]);
    dns.all_do("a", &Does::Answer(circle));
    assert_eq!(addresses(&dns, "a").await, Err(Failure::Aliases(MAX_ALIASES)));
    for n in 0..100 {
        let next = records(vec![record(&format!("n{n}"), 60, alias(&format!("n{}", n + 1)))]);
        dns.all_do(&format!("n{n}"), &Does::Answer(next));
    }
    assert_eq!(addresses(&dns, "n0").await, Err(Failure::Aliases(MAX_ALIASES)));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_an_answer_whether_the_name_exists_or_not() {
    let dns = Scripted::default();
    let answer = addresses(&dns, "gone").await.unwrap();
    assert_eq!(
        (answer.addresses(), answer.exists, answer.ttl),
        (&[][..], false, Some(Duration::from_mins(1)))
    );
    dns.all_do("bare", &Does::Answer(nobody(true, None)));
    let answer = addresses(&dns, "bare").await.unwrap();
    assert_eq!((answer.addresses(), answer.exists, answer.ttl), (&[][..], true, None));
}

#[tokio::test(start_paused = true)]
async fn who_is_no_help_is_followed_by_the_next() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.1"]);
    let refers = Response { refers: true, ..nobody(true, None) };
    let beside = records(vec![record("other", 60, address("10.6.6.6"))]);
    for does in [Does::Refuse, Does::Hang, Does::Answer(refers), Does::Answer(beside)] {
        dns.nameserver_does(FIRST, Some(does));
        assert_eq!(shown(&addresses(&dns, "web").await.unwrap()), ["10.0.0.1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_does_not_exist_is_not_asked_of_the_next() {
    let dns = Scripted::default();
    dns.nameserver_does(FIRST, Some(Does::Answer(nobody(false, None))));
    dns.has("web", 60, &["10.0.0.1"]);
    assert!(shown(&addresses(&dns, "web").await.unwrap()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_nobody_helps_each_of_them_is_named() {
    let dns = Scripted::default();
    dns.nameserver_does(FIRST, Some(Does::Hang));
    dns.nameserver_does(SECOND, Some(Does::Refuse));
    let failure = addresses(&dns, "web").await.unwrap_err().to_string();
    assert!(failure.contains("10.0.0.1:53 does not answer within 2s"), "{failure}");
    assert!(failure.contains("10.0.0.2:53 answers SERVFAIL"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn one_family_that_cannot_be_asked_for_is_a_failure_of_the_name() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.1"]);
    dns.does("web", RecordType::AAAA, Does::Refuse);
    assert!(addresses(&dns, "web").await.unwrap_err().to_string().contains("AAAA"));
}

#[tokio::test(start_paused = true)]
async fn who_was_silent_is_asked_last_for_half_a_minute() {
    let dns = Scripted::default();
    dns.has("web", 60, &["10.0.0.1"]);
    dns.nameserver_does(FIRST, Some(Does::Hang));
    let (plan, silent) = (plan(&[], 1), Silent::default());
    let lookup = Lookup { plan: &plan, exchange: &dns, silent: &silent };
    let question = Question::addresses(&"web".parse().unwrap());
    let first_asked = async || {
        let before = dns.seen().len();
        lookup.answer(&question).await.unwrap();
        dns.seen()[before].nameserver.to_string()
    };
    assert_eq!(first_asked().await, FIRST);
    assert_eq!(first_asked().await, SECOND);
    tokio::time::advance(SILENCE).await;
    assert_eq!(first_asked().await, FIRST);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_completed_as_the_system_does() {
    for (text, ndots, names) in [
        ("web", 1, vec!["web.a.example", "web.b.example", "web"]),
        ("web.", 1, vec!["web"]),
        ("web.x", 1, vec!["web.x", "web.x.a.example", "web.x.b.example"]),
        ("web.x", 2, vec!["web.x.a.example", "web.x.b.example", "web.x"]),
    ] {
        let dns = Scripted::default();
        let question = Question::addresses(&text.parse().unwrap());
        let answer = ask(&dns, &plan(&["a.example", "b.example"], ndots), &question).await.unwrap();
        assert!(!answer.exists);
        let asked: Vec<_> =
            dns.seen().into_iter().filter(|seen| seen.kind == RecordType::A).map(|seen| seen.name).collect();
        assert_eq!(asked, names, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_completed_name_that_has_anything_counts_and_one_that_fails_is_not_passed_over() {
    let dns = Scripted::default();
    dns.has("web.b.example", 60, &["10.0.0.1"]);
    dns.has("web", 60, &["10.6.6.6"]);
    let (plan, question) =
        (plan(&["a.example", "b.example"], 1), Question::addresses(&"web".parse().unwrap()));
    assert_eq!(shown(&ask(&dns, &plan, &question).await.unwrap()), ["10.0.0.1"]);
    dns.all_do("web.a.example", &Does::Refuse);
    assert!(ask(&dns, &plan, &question).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn targets_are_sorted_and_a_root_is_none() {
    let dns = Scripted::default();
    let question = Question::srv(&"_http._tcp.web".parse().unwrap());
    dns.serves("_http._tcp.web", 60, vec![srv(20, 0, 80, "c"), srv(10, 5, 80, "b"), srv(10, 5, 80, "a")]);
    let answer = ask(&dns, &plan(&[], 1), &question).await.unwrap();
    let hosts: Vec<_> = answer.targets().iter().map(|target| target.host.as_str()).collect();
    assert_eq!(hosts, ["a.", "b.", "c."]);
    dns.serves("_http._tcp.web", 60, vec![srv(0, 0, 0, "")]);
    let answer = ask(&dns, &plan(&[], 1), &question).await.unwrap();
    assert!(answer.targets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_thousand_addresses_are_used_and_the_rest_is_counted() {
    let dns = Scripted::default();
    let many = (0..10_000u32)
        .rev()
        .map(|n| record("web", 60, RData::A(std::net::Ipv4Addr::from(0x0a00_0000 + n).into())));
    dns.does("web", RecordType::A, Does::Answer(records(many.collect())));
    let answer = addresses(&dns, "web").await.unwrap();
    assert_eq!((answer.addresses().len(), answer.omitted), (1000, 9000));
    assert_eq!(answer.addresses()[0].to_string(), "10.0.0.0");
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic_or_go_on_for_ever(
        edges in proptest::collection::vec((0u8..6, 0u8..6, any::<bool>()), 0..12),
        negative in proptest::option::of(any::<u32>()),
        exists in any::<bool>(),
    ) {
        let name = |n: u8| format!("n{n}");
        let data = |(owner, target, leaf): &(u8, u8, bool)| {
            let data = if *leaf { address(&format!("10.0.0.{target}")) } else { alias(&name(*target)) };
            record(&name(*owner), 1, data)
        };
        let answers = edges.iter().map(data).collect();
        let dns = Scripted::default();
        let response = Response { exists, answers, negative_ttl: negative, refers: false };
        for n in 0..6 {
            dns.all_do(&name(n), &Does::Answer(response.clone()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _ = runtime.block_on(addresses(&dns, "n0"));
        prop_assert!(dns.seen().len() < 200);
    }
}
