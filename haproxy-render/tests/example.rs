//! The program of `examples/` does what it says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/render.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod render;

#[test]
fn servers_become_a_configuration_and_nothing_else_becomes_a_line() {
    let text = render::configuration(&[("web-1", "10.0.0.1"), ("web-2", "10.0.0.2")]).unwrap();
    assert!(text.contains("\tserver web-1 10.0.0.1:8080 id 1 check inter 2s\n"), "{text}");
    assert!(text.contains("\tserver web-2 10.0.0.2:8080 id 2 check inter 2s\n"), "{text}");
    render::configuration(&[("web-1", "10.0.0.1\n\tserver evil 6.6.6.6")]).unwrap_err();
}
