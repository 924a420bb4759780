use std::path::Path;

use crate::config::Config;

const PARENT: &str = "[[parent]]\nname = \"eth0\"\n";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("netpath.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn bad_local_services_are_told_what_is_wrong_and_where() {
    for (keys, expected) in [
        ("service = \"dns\"\naddresses = [\"10.0.0.1\"]", "service name \"dns\" is not valid"),
        ("service = \"a/b\"\naddresses = []", "local_service[0].addresses: no address is given"),
        ("service = \"a/b\"\naddresses = [\"dns:53\"]", "\"dns:53\" is no address"),
        ("service = \"a/b\"\naddresses = [\"127.0.0.1:53\"]", "127.0.0.1 is no unicast address"),
        ("service = \"a/b\"\naddresses = [\"10.0.0.1:0\"]", "0 is no port"),
        ("service = \"a/b\"\naddresses = [\"10.0.0.1\"]\nport = 3", "unknown field `port`"),
        (
            "service = \"a/b\"\naddresses = [\"10.0.0.1\"]\n\
             [[local_service]]\nservice = \"a/b\"\naddresses = [\"10.0.0.2\"]",
            "local_service[1].service: a/b is local_service[0] already",
        ),
    ] {
        let text = format!("{PARENT}[[local_service]]\n{keys}\n");
        let error = parse(&text).expect_err(keys);
        assert!(error.contains(expected), "{keys}\n{error}\nshould contain\n{expected}");
    }
}

#[test]
fn kube_proxy_has_routes_of_its_own() {
    let services = |mode, more| {
        let text = format!(
            "{PARENT}[services]\nmode = \"{mode}\"\ncidrs = [\"10.96.0.0/12\", \"fd00:96::/112\"]\n{more}"
        );
        let config = parse(&text).expect("right");
        config.service_routes().map(|route| route.prefix.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(services("kube-proxy", ""), ["10.96.0.0/12", "fd00:96::/112"]);
    let own = "[[route]]\nprefix = \"10.96.0.0/12\"\npath = \"host\"\n";
    assert_eq!(services("kube-proxy", own), ["fd00:96::/112"]);
    assert!(services("native", "").is_empty() && services("off", "").is_empty());
}
