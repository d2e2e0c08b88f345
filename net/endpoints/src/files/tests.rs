//! The endpoints over a fake disk, held against recorded answers.

use std::sync::Arc;

use http::{Method, Request, StatusCode};
use http_body::Body as _;
use orrery_http::Response;

use super::fake::FakeDisk;
use super::{Files, MAX_READ};
use crate::reply::Asked;
use crate::testing::{bytes, header, now, text};

const RUN: &str = "/agent/runs/c";

fn files() -> Files {
    let large: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
    let disk = FakeDisk::default()
        .folder("/agent")
        .folder("/agent/runs")
        .folder(RUN)
        .folder("/agent/runs/c/data")
        .file("/agent/runs/c/stdout", "hello\nworld\n")
        .file("/agent/runs/c/stderr", "")
        .file("/agent/runs/c/large", large)
        .link("/agent/runs/c/out", "/etc/secret")
        .link("/agent/runs/c/inside", "/agent/runs/c/stdout")
        .link("/agent/runs/c/broken", "/nosuch")
        .pipe("/agent/runs/c/pipe")
        .link("/agent/runs/latest", RUN)
        .folder("/agent/runs/c-other")
        .file("/agent/runs/c-other/stdout", "not yours")
        .folder("/etc")
        .file("/etc/secret", "secret")
        .file("/log", "Log file\n");
    let files = Files::new(Arc::new(disk));
    files.attach(RUN, RUN);
    files.attach("/frameworks/f/executors/e/runs/latest", "/agent/runs/latest");
    files.attach("/master/log", "/log");
    files
}

fn asked(method: Method, path: &str) -> Asked {
    let request = Request::builder().method(method).uri(path).body(()).expect("a request");
    Asked::of(&request).expect("a good query")
}

fn browse(query: &str) -> Response {
    now(files().browse(&asked(Method::GET, &format!("/files/browse{query}"))))
}

fn read(query: &str) -> Response {
    now(files().read(&asked(Method::GET, &format!("/files/read{query}"))))
}

fn download(method: Method, query: &str) -> Response {
    now(files().download(&asked(method, &format!("/files/download{query}"))))
}

#[test]
fn browse_lists_a_folder() {
    let response = browse("?path=/frameworks/f/executors/e/runs/latest/");
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    let entries: serde_json::Value = serde_json::from_slice(&bytes(response)).expect("JSON");
    let names: Vec<_> = entries.as_array().expect("a list").iter().map(|it| &it["path"]).collect();
    let prefix = "/frameworks/f/executors/e/runs/latest";
    let expected = ["data", "inside", "large", "out", "pipe", "stderr", "stdout"];
    assert_eq!(names, expected.map(|name| format!("{prefix}/{name}")).each_ref());
    assert_eq!(
        entries[6],
        serde_json::json!({"gid": "users", "mode": "-rw-r-----", "mtime": 1_795_165_906.0,
            "nlink": 1, "path": format!("{prefix}/stdout"), "size": 12, "uid": "root"})
    );
    assert_eq!(entries[0]["mode"], "drwxr-xr-x");
}

#[test]
fn browse_shows_nothing_of_a_plain_file() {
    assert_eq!(text(browse("?path=/master/log")), "[]");
    assert_eq!(text(browse("?path=/master/log&jsonp=cb")), "cb([])");
}

#[test]
fn a_path_is_needed() {
    for response in [browse(""), read("?offset=0"), download(Method::GET, "?path=")] {
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(text(response), "Expecting 'path=value' in query.");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "/nosuch",
        "/agent/runs/c/nosuch",
        "/agent/runs/c/broken",
        "/agent/runs/c/../nosuch",
        "/master/log/x",
        "/master",
        "/",
        "/agent/runs/c%00",
    ] {
        for response in [browse(&format!("?path={path}")), read(&format!("?path={path}"))] {
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(text(response), "", "{path}");
        }
    }
}

#[test]
fn no_path_leads_out() {
    for path in [
        "/agent/runs/c/out",
        "/agent/runs/c/..",
        "/agent/runs/c/../c-other/stdout",
        "/agent/runs/c/../../../etc/secret",
        "/agent/runs/c/%2e%2e/c-other/stdout",
        "/frameworks/f/executors/e/runs/latest/../../../etc/secret",
    ] {
        let query = format!("?path={path}");
        for response in [browse(&query), read(&query), download(Method::GET, &query)] {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
            assert!(text(response).ends_with(" is inaccessible"), "{path}");
        }
    }
    // A detour that comes back is none.
    let back = "?path=/agent/runs/c/../c/inside&offset=0";
    assert_eq!(text(read(back)), r#"{"data":"hello\nworld\n","offset":0}"#);
}

#[test]
fn read_gives_pieces() {
    for (parameters, expected) in [
        ("", r#"{"data":"","offset":12}"#),
        ("&offset=-1", r#"{"data":"","offset":12}"#),
        ("&offset=0&length=5", r#"{"data":"hello","offset":0}"#),
        ("&offset=6&length=-1", r#"{"data":"world\n","offset":6}"#),
        ("&offset=6&length=0", r#"{"data":"","offset":6}"#),
        ("&offset=12", r#"{"data":"","offset":12}"#),
        ("&offset=9223372036854775807&length=10", r#"{"data":"","offset":9223372036854775807}"#),
    ] {
        let response = read(&format!("?path={RUN}/stdout{parameters}"));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(text(response), expected, "{parameters}");
    }
}

#[test]
fn read_refuses_wrong_numbers_and_folders() {
    for parameters in ["&offset=-2", "&offset=0&length=-2", "&offset=x", "&offset=", "&length=1.5"]
    {
        let response = read(&format!("?path={RUN}/stdout{parameters}"));
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{parameters}");
        assert!(text(response).contains("expected a whole number, or -1"), "{parameters}");
    }
    for path in ["/agent/runs/c", "/agent/runs/c/pipe"] {
        let response = read(&format!("?path={path}&offset=0"));
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[test]
fn one_answer_holds_sixteen_pages() {
    let files = files();
    let path = format!("{RUN}/large");
    let piece = now(files.read_piece(&path, Some(1), None)).expect("a piece");
    assert_eq!(piece.data.len() as u64, MAX_READ);
    assert_eq!((piece.offset, piece.size), (1, 200_000));
    assert_eq!(piece.data[0], 1);
    let piece = now(files.read_piece(&path, Some(199_990), Some(u64::MAX))).expect("a piece");
    assert_eq!(piece.data.len(), 10);
}

#[test]
fn download_sends_the_whole_file() {
    let response = download(Method::GET, &format!("?path={RUN}/large"));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-disposition"), Some("attachment; filename=large"));
    assert_eq!(header(&response, "content-type"), Some("application/octet-stream"));
    assert_eq!(header(&response, "content-length"), Some("200000"));
    let content = bytes(response);
    assert_eq!(content.len(), 200_000);
    assert!(content.iter().enumerate().all(|(index, byte)| usize::from(*byte) == index % 251));

    let response = download(Method::GET, &format!("?path={RUN}/stderr"));
    assert_eq!(header(&response, "content-length"), Some("0"));
    assert_eq!(text(response), "");
    let response = download(Method::HEAD, &format!("?path={RUN}/large"));
    assert_eq!(header(&response, "content-length"), Some("200000"));
    assert_eq!(response.body().size_hint().exact(), Some(0));
    let response = download(Method::GET, &format!("?path={RUN}"));
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn debug_shows_what_is_attached() {
    let files = files();
    files.detach(RUN);
    assert_eq!(
        text(files.debug(&asked(Method::GET, "/files/debug"))),
        r#"{"/frameworks/f/executors/e/runs/latest":"/agent/runs/latest","/master/log":"/log"}"#
    );
}

#[test]
fn listed_files_have_a_v1_form() {
    let entries = now(files().list(RUN)).expect("a listing");
    let info = entries.last().expect("stdout").message();
    assert_eq!(info.path, format!("{RUN}/stdout"));
    assert_eq!(info.mode, Some(0o100_640));
    assert_eq!(info.size, Some(12));
}
