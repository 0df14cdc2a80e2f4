use tachi_config::{ConfigErrors, KnownOptions};

use super::*;

fn read(text: &str) -> Result<Http, ConfigErrors> {
    let (ini, known) = (Ini::parse("test.conf", text)?, KnownOptions::masakari());
    let mut reader = Reader::new(&ini, &known);
    let json_log = reader.bool("DEFAULT", "use_json").default(false).get();
    workers(&mut reader);
    let http = http(&mut reader, &ini, json_log);
    reader.finish().map(|_| http)
}

/// What an API asks of HTTP, from a file.
fn api_options(text: &str) -> (Options, ServeOptions) {
    let http = read(text).unwrap();
    let mut options = Options::new(crate::Auth::Noauth2);
    http.apply(&mut options);
    (options, http.serve_options(Duration::from_secs(60)))
}

#[test]
fn defaults_of_http() {
    let (options, serve) = api_options("");
    assert_eq!((options.max_line_bytes, serve.max_head_bytes), (16_384, 65_536));
    assert_eq!((serve.max_connections, serve.keep_alive), (1000, true));
    assert_eq!(options.access_log, AccessLog::Line(LineFormat::default()));
    assert_eq!(options.cors, Cors::default());
    assert_eq!(options.health, HealthOptions::default());
    assert!(!options.tls && serve.tls.is_none());
    let http = read("").unwrap();
    assert_eq!(http.keep_idle, Duration::from_secs(600));
    let metrics = http.metrics.unwrap();
    assert_eq!(metrics.allowed_source_ranges.len(), 2);
    assert_eq!(metrics.listen, None);
}

#[test]
fn options_of_http_have_their_effect() {
    let (options, serve) = api_options(
        "[DEFAULT]\nuse_forwarded_for = true\nwsgi_keep_alive = no\nmax_header_line = 32768\n\
         [wsgi]\nclient_socket_timeout = 5\ndefault_pool_size = 7\nsecure_proxy_ssl_header = HTTP_X_FORWARDED_PROTO\n\
         wsgi_log_format = %(method)s %(status_code)d\nbase_path = /instance-ha\n\
         [osapi_v1]\nproject_id_regex = [a-z]+\n",
    );
    assert_eq!(serve.header_read_timeout, Duration::from_secs(5));
    assert_eq!(serve.write_timeout, Duration::from_secs(5));
    assert_eq!(options.body_timeout, Duration::from_secs(5));
    assert_eq!((serve.max_connections, serve.keep_alive), (7, false));
    assert_eq!((options.max_line_bytes, serve.max_head_bytes), (32_768, 131_072));
    assert_eq!(options.scheme_header.unwrap(), "x-forwarded-proto");
    assert!(options.forwarded_for);
    assert_eq!(options.base_path, "/instance-ha");
    let ids = options.project_ids.unwrap();
    assert!(ids.is_match("team") && !ids.is_match("team7"));
    let format = LineFormat::parse("%(method)s %(status_code)d").unwrap();
    assert_eq!(options.access_log, AccessLog::Line(format));
}

#[test]
fn a_client_is_never_waited_for_without_end() {
    for (written, expected) in [("0", 75), ("3600", 75), ("75", 75), ("74", 74)] {
        let (options, serve) = api_options(&format!("[wsgi]\nclient_socket_timeout = {written}\n"));
        assert_eq!(
            serve.header_read_timeout,
            Duration::from_secs(expected),
            "{written}"
        );
        assert_eq!(options.body_timeout, Duration::from_secs(60), "{written}");
    }
}

#[test]
fn the_log_in_json_has_fields_whatever_the_format_of_lines() {
    let (options, _) = api_options("[DEFAULT]\nuse_json = true\n");
    assert_eq!(options.access_log, AccessLog::Fields);
}

#[test]
fn groups_of_cors_take_from_the_first_what_they_do_not_say() {
    let (options, _) = api_options(
        "[cors]\nallowed_origin = https://a, https://b/\nmax_age = 60\nallow_methods = GET\n\
         [cors.reader]\nallowed_origin = http://c:8080\nallow_credentials = false\nexpose_headers =\n\
         [cors.silent]\nmax_age = 1\n",
    );
    let [first, reader] = options.cors.groups.as_slice() else {
        panic!("{:?}", options.cors);
    };
    assert_eq!(first.origins, ["https://a", "https://b"]);
    assert_eq!(
        (first.max_age, first.credentials),
        (Duration::from_secs(60), true)
    );
    assert_eq!(first.headers, CorsGroup::default().headers);
    assert_eq!(reader.origins, ["http://c:8080"]);
    assert_eq!(
        (reader.max_age, reader.credentials),
        (Duration::from_secs(60), false)
    );
    assert_eq!(
        (reader.methods.as_slice(), reader.expose_headers.len()),
        (["GET".to_owned()].as_slice(), 0)
    );
}

#[test]
fn healthcheck_options() {
    let (options, _) = api_options(
        "[healthcheck]\nbackends = disable_by_files_ports, enable_by_files, database\ndetailed = true\n\
         disable_by_file_paths = 15868:/run/a, 80:/run/b\nenable_by_file_paths = /run/c\n\
         allowed_source_ranges = 10.0.0.0/8, ::1, 192.0.2.1\nignore_proxied_requests = true\n",
    );
    let health = options.health;
    let backends = [
        HealthBackend::DisableByFilesPorts,
        HealthBackend::EnableByFiles,
        HealthBackend::Database,
    ];
    assert_eq!(health.backends, backends);
    assert_eq!(
        health.disable_files,
        [(15868, "/run/a".into()), (80, "/run/b".into())]
    );
    assert_eq!(health.enable_files, [PathBuf::from("/run/c")]);
    let ranges: Vec<String> = health
        .allowed_source_ranges
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ranges, ["10.0.0.0/8", "::1/128", "192.0.2.1/32"]);
    assert!(health.detailed && health.ignore_proxied_requests);
}

#[test]
fn tls_needs_both_files_and_names_the_one_that_is_wrong() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let with = |lines: &str| format!("[DEFAULT]\nuse_ssl = true\n[wsgi]\n{lines}").replace("DATA", data);
    let (options, serve) = api_options(&with(
        "ssl_cert_file = DATA/server.pem\nssl_key_file = DATA/server.key\nssl_ca_file = DATA/ca.pem\n",
    ));
    assert!(options.tls && serve.tls.is_some());
    let cases = [
        ("neither", "", "[wsgi] ssl_cert_file = "),
        (
            "no key",
            "ssl_cert_file = DATA/server.pem\n",
            "[wsgi] ssl_key_file = ",
        ),
        (
            "the key of another",
            "ssl_cert_file = DATA/server.pem\nssl_key_file = DATA/renewed.key\n",
            "test.conf:4: [wsgi] ssl_cert_file = ",
        ),
        (
            "a key with a passphrase",
            "ssl_cert_file = DATA/server.pem\nssl_key_file = DATA/encrypted.key\n",
            "test.conf:5: [wsgi] ssl_key_file = ",
        ),
        (
            "no authority",
            "ssl_cert_file = DATA/server.pem\nssl_key_file = DATA/server.key\nssl_ca_file = DATA/gone.pem\n",
            "test.conf:6: [wsgi] ssl_ca_file = ",
        ),
    ];
    for (name, lines, expected) in cases {
        let Err(errors) = read(&with(lines)) else {
            panic!("{name}: accepted");
        };
        assert!(errors.to_string().contains(expected), "{name}: {errors}");
    }
    let off = read(&with("ssl_cert_file = DATA/gone.pem\n").replace("use_ssl = true", "use_ssl = false"));
    assert!(off.is_ok(), "files that are not used are not read");
}

#[test]
fn wrong_options_of_http_are_told_with_line_and_option() {
    let cases = [
        ("wsgi", "wsgi_log_format = %(token)s", "unknown name `token`"),
        (
            "wsgi",
            "secure_proxy_ssl_header = a header",
            "is not a header name",
        ),
        ("wsgi", "default_pool_size = 0", "is out of range"),
        ("wsgi", "max_header_line = 10", "is out of range"),
        ("wsgi", "base_path = instance-ha", "does not start with a slash"),
        ("wsgi", "keep_alive = perhaps", "is not a boolean"),
        ("DEFAULT", "masakari_api_workers = 0", "is out of range"),
        ("osapi_v1", "project_id_regex = [", "is not a regular expression"),
        (
            "cors",
            "allowed_origin = dashboard",
            "`dashboard` is not an origin",
        ),
        ("cors.more", "allow_headers = a b", "`a b` is not a header name"),
        (
            "healthcheck",
            "backends = disable_by_file, cpu",
            "no backend is named `cpu`",
        ),
        (
            "healthcheck",
            "backends = disable_by_file, enable_by_files",
            "write one of them",
        ),
        (
            "healthcheck",
            "disable_by_file_paths = /run/x",
            "`/run/x` is not a port and path",
        ),
        (
            "healthcheck",
            "allowed_source_ranges = here",
            "`here` is not a network",
        ),
        (
            "metrics",
            "allowed_source_ranges = 10.0.0.0/99",
            "`10.0.0.0/99` is not a network",
        ),
        ("metrics", "listen = 15869", "is not an address and port"),
    ];
    for (section, line, expected) in cases {
        let Err(errors) = read(&format!("[{section}]\n{line}\n")) else {
            panic!("{line}: accepted");
        };
        let text = errors.to_string();
        let option = line.split(' ').next().unwrap();
        let place = format!("test.conf:2: [{section}] {option} = ");
        assert!(
            text.starts_with(&place) && text.contains(expected),
            "{line}: {text}"
        );
    }
}
