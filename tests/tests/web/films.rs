//! Films over the web: on a host without ffmpeg, and for whom they are made.

use crate::place::Place;
use crate::speak::{cookie, get};

#[test]
fn without_ffmpeg_there_is_a_gif_and_the_name_of_the_package() {
    let mut place = Place::new("web-films");
    place.user("ada", "auditor", &["--no-totp"]);
    place.user("eve", "user", &["--no-totp"]);
    // The next start does not find any program.
    place.daemon.put_behind(&["env", "PATH=/nonexistent"]);
    place.die();
    let mut shown = place.record("shown", "printf 'to be filmed\\r\\n'");
    assert!(shown.wait().unwrap().success());
    let sid = place.session("shown", true)["sid"]
        .as_str()
        .unwrap()
        .to_owned();
    let (ada, eve) = (cookie(&place, "ada"), cookie(&place, "eve"));
    let path = |format: &str| format!("/v1/sessions/{sid}/export?format={format}");
    let refused = get(&place, &path("mp4"), &ada);
    assert_eq!(
        (refused.status, refused.code()),
        (501, "no_ffmpeg".to_owned())
    );
    assert!(
        refused.body.contains("Debian's package ffmpeg"),
        "{}",
        refused.body
    );
    let film = get(&place, &path("gif"), &ada);
    assert_eq!(film.status, 200);
    assert!(film.body.starts_with("GIF89a"), "{}", film.head);
    // A film is a look at the recording: on record, and not for everybody.
    let looks = place.events_of("session.recording.access", 2);
    let formats: Vec<_> = looks.iter().map(|look| look["format"].as_str()).collect();
    assert!(
        formats.contains(&Some("gif")) && formats.contains(&Some("mp4")),
        "{looks:?}"
    );
    for format in ["gif", "mp4"] {
        assert_eq!(get(&place, &path(format), &eve).status, 403, "{format}");
    }
    place.daemon.stop();
}
