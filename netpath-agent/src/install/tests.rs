//! What is in place when, and with which rights.

use tempfile::TempDir;

use super::{keep::Kept, *};

fn places(folder: &TempDir) -> Places {
    Places {
        programs: folder.path().join("bin"),
        configurations: folder.path().join("net.d"),
        conflist: "10-netpath.conflist".to_owned(),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("folder");
    entries.map(|entry| entry.expect("entry").file_name().into_string().expect("name")).collect()
}

#[test]
fn a_file_is_replaced_whole() {
    let folder = TempDir::new().expect("folder");
    let path = folder.path().join("net.d/list");
    for content in ["first", "second"] {
        replace(&path, 0o644, &mut content.as_bytes()).expect("write");
        assert_eq!(fs::read_to_string(&path).expect("read"), content);
    }
    let mode = fs::metadata(&path).expect("file").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(names(&folder.path().join("net.d")), ["list"]);
}

#[test]
fn what_is_not_there_is_removed_already() {
    let folder = TempDir::new().expect("folder");
    let places = places(&folder);
    assert!(uninstall(&places).expect("nothing").is_empty());
    let plugin = places.programs.join(PLUGIN);
    replace(&plugin, 0o755, &mut "program".as_bytes()).expect("write");
    assert_eq!(uninstall(&places).expect("plugin"), [plugin]);
}

#[tokio::test]
async fn without_an_agent_there_is_no_conflist() {
    let folder = TempDir::new().expect("folder");
    let socket = folder.path().join("agent.sock");
    let error = wait(&Client::new(&socket), "netpath", Duration::ZERO).await.expect_err("no agent");
    assert!(matches!(error, Error::NotReady { source: Some(_), .. }), "{error}");
}

#[test]
fn what_was_put_in_place_is_kept_there() {
    let folder = TempDir::new().expect("folder");
    let places = places(&folder);
    let conflist = Conflist::standard(Path::new("/elsewhere.sock"));
    let [plugin, list] = places.files();
    replace(&plugin, 0o755, &mut "program".as_bytes()).expect("write");
    places.put_conflist(&conflist).expect("write");
    let mut kept = Kept::new(&conflist, &places).expect("look");
    assert!(kept.put_back().expect("nothing").is_empty());
    fs::remove_file(&list).expect("remove");
    assert_eq!(kept.put_back().expect("removed"), std::slice::from_ref(&list));
    fs::write(&list, "{}").expect("write");
    assert_eq!(kept.put_back().expect("changed"), std::slice::from_ref(&list));
    assert_eq!(fs::read_to_string(&list).expect("read"), conflist.text());
    assert!(kept.put_back().expect("nothing").is_empty());
}

#[test]
fn a_conflist_names_our_plugin() {
    let folder = TempDir::new().expect("folder");
    let path = folder.path().join("list");
    let own = Conflist::standard(Path::new("/elsewhere.sock"));
    fs::write(&path, own.text()).expect("write");
    assert_eq!(Conflist::load(&path).expect("our own"), own);
    for (text, expected) in [
        ("{", "EOF"),
        ("{\"name\": \"a\", \"plugins\": []}", "none of its plugins is of type netpath-cni"),
        ("{\"plugins\": []}", "missing field `name`"),
    ] {
        fs::write(&path, text).expect("write");
        let error = Conflist::load(&path).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
