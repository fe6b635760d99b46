//! The program of `examples/` does what it says.

#[path = "../examples/watcher.rs"]
#[allow(dead_code, reason = "its `main` is for cargo")]
mod watcher;

use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn it_tells_who_comes_who_goes_and_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("servers.txt");
    std::fs::write(&path, "10.0.0.1:80\n\nnonsense\ndb.internal:5432\n").unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    tokio::spawn(watcher::follow(path.clone(), move |line| {
        let _ = tell.send(line);
    }));
    assert_eq!(told.recv().await.unwrap(), "+ 10.0.0.1:80");
    assert_eq!(told.recv().await.unwrap(), "+ db.internal:5432");

    std::fs::remove_file(&path).unwrap();
    let failure = told.recv().await.unwrap();
    assert!(failure.starts_with(&format!("! reading {}: ", path.display())), "{failure}");
    std::fs::write(&path, "10.0.0.1:80\n").unwrap();
    // Further failures may have been told before; nobody was taken away by them.
    while let Some(line) = told.recv().await {
        if !line.starts_with('!') {
            assert_eq!(line, "- db.internal:5432");
            break;
        }
    }
}
