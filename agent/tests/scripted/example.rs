//! The program of `examples/` does what it says.

use std::cell::RefCell;

use crate::embed::program;

#[tokio::test]
async fn an_agent_inside_another_program_serves_what_the_program_knows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("haproxy.cfg");
    let told = RefCell::new(Vec::new());
    program(path.to_str().unwrap(), |servers| told.borrow_mut().push(servers)).await.unwrap();
    assert_eq!(told.into_inner(), [1, 2, 3]);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("\tserver 10.0.0.3:8080 10.0.0.3:8080 id 3\n"), "{text}");
}
