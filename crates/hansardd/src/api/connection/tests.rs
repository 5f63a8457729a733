//! Who reads, who does not, and what becomes of the connection.

use std::convert::Infallible;

use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::runtime::Runtime;

use super::*;

/// Long enough for whatever this machine does beside.
const FOR_EVER: Duration = Duration::from_secs(60);

const ANSWER_BYTES: usize = 64 * 1024;

fn run<F: Future>(test: F) -> F::Output {
    let runtime = Runtime::new().unwrap();
    runtime
        .block_on(async { timeout(FOR_EVER, test).await })
        .expect("an end")
}

/// One that answers as much as fits nowhere on the way; and its end.
fn serving(patience: Duration) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (here, there) = duplex(1024);
    let (stop, stopped) = watch::channel(false);
    let answer = |_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; ANSWER_BYTES])))
    };
    let served = tokio::spawn(async move {
        converse_in((there, patience), service_fn(answer), stopped).await;
        drop(stop);
    });
    (here, served)
}

const ASKED: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn whoever_takes_nothing_of_an_answer_is_cut() {
    run(async {
        let (mut here, served) = serving(Duration::from_millis(100));
        here.write_all(ASKED).await.unwrap();
        served.await.unwrap();
        let mut got = Vec::new();
        here.read_to_end(&mut got).await.unwrap();
        assert!(got.starts_with(b"HTTP/1.1 200") && got.len() < ANSWER_BYTES);
    });
}

#[test]
fn whoever_takes_it_slowly_gets_all_of_it() {
    run(async {
        let patience = Duration::from_secs(2);
        let (mut here, served) = serving(patience);
        here.write_all(ASKED).await.unwrap();
        let (mut got, mut piece) = (Vec::new(), [0; 1024]);
        let begun = tokio::time::Instant::now();
        while got.len() < ANSWER_BYTES {
            // Together longer than the patience, each of them much shorter.
            sleep(patience / 40).await;
            let read = here.read(&mut piece).await.unwrap();
            assert!(read > 0, "cut after {} bytes", got.len());
            got.extend_from_slice(&piece[..read]);
        }
        assert!(begun.elapsed() > patience);
        drop(here);
        served.await.unwrap();
    });
}
