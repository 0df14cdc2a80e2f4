use secrecy::ExposeSecret;

use super::*;

/// Name of the case, configured URL, URL for sqlx.
const TRANSLATIONS: &[(&str, &str, &str)] = &[
    (
        "absolute file",
        "sqlite:////var/lib/tachi/t.sqlite",
        "sqlite:///var/lib/tachi/t.sqlite?mode=rwc",
    ),
    (
        "relative file",
        "sqlite:///t.sqlite",
        "sqlite://t.sqlite?mode=rwc",
    ),
    ("driver", "sqlite+pysqlite:////t", "sqlite:///t?mode=rwc"),
    ("memory", "sqlite://", "sqlite::memory:"),
    ("memory by name", "sqlite:///:memory:", "sqlite::memory:"),
    (
        "password with question mark",
        "mysql://u:a?b@h/db?charset=utf8",
        "mysql://u:a%3Fb@h/db",
    ),
    (
        "at sign in a parameter",
        "postgresql://h/db?options=a@b",
        "postgres://h/db?options=a%40b",
    ),
    ("escaped database", "mysql://u@h/d%20b", "mysql://u@h/d%20b"),
    (
        "escaped blank and blank",
        "sqlite:////a%20b c",
        "sqlite:///a%20b%20c?mode=rwc",
    ),
    (
        "mysql",
        "mysql+pymysql://masakari:pw@10.0.0.1/masakari?charset=utf8",
        "mysql://masakari:pw@10.0.0.1/masakari",
    ),
    ("port", "mysql+pymysql://u:p@h:3307/db", "mysql://u:p@h:3307/db"),
    ("mariadb", "mariadb+pymysql://u:p@h/db", "mysql://u:p@h/db"),
    (
        "escaped password",
        "mysql+pymysql://u:p%40ss@h:3306/db",
        "mysql://u:p%40ss@h:3306/db",
    ),
    (
        "password with slash and colon",
        "mysql://u:a/b:c@h/db",
        "mysql://u:a%2Fb%3Ac@h/db",
    ),
    (
        "password with hash and percent",
        "mysql://u:a#b%zz@h/db",
        "mysql://u:a%23b%25zz@h/db",
    ),
    ("password with plus", "mysql://u:a+b@h/db", "mysql://u:a%2Bb@h/db"),
    ("empty password", "mysql://u:@h/db", "mysql://u:@h/db"),
    ("no password", "mysql://u@h/db", "mysql://u@h/db"),
    ("no user", "mysql://h/db", "mysql://h/db"),
    (
        "no host",
        "mysql://u:p@/db?unix_socket=/run/mysqld/mysqld.sock",
        "mysql://u:p@localhost/db?socket=/run/mysqld/mysqld.sock",
    ),
    (
        "ipv6",
        "mysql://u:p@[2001:db8::1]:3306/db",
        "mysql://u:p@[2001:db8::1]:3306/db",
    ),
    (
        "authority",
        "mysql://u:p@h/db?ssl_ca=/etc/ssl/ca.pem",
        "mysql://u:p@h/db?ssl-ca=/etc/ssl/ca.pem&ssl-mode=VERIFY_IDENTITY",
    ),
    (
        "authority without name",
        "mysql://u:p@h/db?ssl_ca=/c&ssl_check_hostname=false",
        "mysql://u:p@h/db?ssl-ca=/c&ssl-mode=VERIFY_CA",
    ),
    (
        "authority that is not asked",
        "mysql://u:p@h/db?ssl_ca=/c&ssl_verify_cert=false",
        "mysql://u:p@h/db?ssl-ca=/c&ssl-mode=REQUIRED",
    ),
    (
        "the system's authorities",
        "mysql://u:p@h/db?ssl_verify_cert=true",
        "mysql://u:p@h/db?ssl-mode=VERIFY_IDENTITY",
    ),
    (
        "tls",
        "mysql://u:p@h/db?ssl=true",
        "mysql://u:p@h/db?ssl-mode=REQUIRED",
    ),
    (
        "mode by name",
        "mysql+mysqldb://u:p@h/db?ssl_mode=verify_ca&ssl_ca=/c",
        "mysql://u:p@h/db?ssl-mode=VERIFY_CA&ssl-ca=/c",
    ),
    (
        "client certificate",
        "mysql://u:p@h/db?ssl_cert=/c&ssl_key=/k",
        "mysql://u:p@h/db?ssl-cert=/c&ssl-key=/k",
    ),
    (
        "postgres",
        "postgresql+psycopg2://u:p@h/db",
        "postgres://u:p@h/db",
    ),
    ("postgres old name", "postgres://u:p@h/db", "postgres://u:p@h/db"),
    (
        "postgres tls",
        "postgresql://u:p@h/db?sslmode=verify-full&sslrootcert=/c&client_encoding=utf8",
        "postgres://u:p@h/db?sslmode=verify-full&sslrootcert=/c",
    ),
    (
        "postgres socket",
        "postgresql://u@/db?host=/run/postgresql",
        "postgres://u@localhost/db?host=/run/postgresql",
    ),
];

#[test]
fn translations() {
    for (name, text, expected) in TRANSLATIONS {
        let url = database_url(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(url.url.expose_secret(), *expected, "{name}");
    }
}

#[test]
fn refusals_contain_the_remedy_and_no_password() {
    for (name, text, part) in [
        ("empty", "", "no `://`"),
        ("path only", "/var/lib/s3cret.sqlite", "no `://`"),
        (
            "other database",
            "oracle://u:s3cret@h/db",
            "`oracle` is not supported",
        ),
        (
            "other driver",
            "mysql+foo://u:s3cret@h/db",
            "driver `foo` is unknown",
        ),
        ("two slashes", "sqlite://var/lib/s3cret", "three slashes"),
        ("at sign in the password", "mysql://u:s3@cret@h/db", "%40"),
        ("no database", "mysql://u:s3cret@h", "contains no database name"),
        (
            "empty database",
            "mysql://u:s3cret@h/",
            "contains no database name",
        ),
        ("port", "mysql://u:s3cret@h:99999/db", "port"),
        ("no port", "mysql://u:s3cret@h:/db", "port"),
        ("charset", "mysql://u:s3cret@h/db?charset=latin1", "UTF-8"),
        (
            "encoding",
            "postgresql://u:s3cret@h/db?client_encoding=latin1",
            "UTF-8",
        ),
        ("bracket", "mysql://u:s3cret@[::1/db", "not closed"),
        ("in brackets", "mysql://u:s3cret@[h]/db", "IPv6"),
        (
            "boolean",
            "mysql://u:s3cret@h/db?ssl_check_hostname=perhaps",
            "true, 1",
        ),
    ] {
        let error = database_url(text).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains(part) && !error.contains("s3cret"),
            "{name}: {error}"
        );
    }
}

#[test]
fn a_dropped_parameter_is_reported() {
    let url = database_url("mysql://u:s3cret@h/db?connect_timeout=5&charset=utf8").unwrap();
    assert_eq!(url.notes, ["connect_timeout: a setting of the Python driver"]);
    assert_eq!(url.backend, Backend::MySql);
    assert_eq!(url.to_string(), "mysql://u:***@h/db");
    assert!(!format!("{url:?}").contains("s3cret"));
}

#[test]
fn the_file_of_sqlite_is_returned() {
    let path = |text| database_url(text).unwrap().path;
    assert_eq!(path("sqlite:////a/b%20"), Some(PathBuf::from("/a/b ")));
    assert_eq!(path("sqlite:///:memory:"), None);
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text in "\\PC*") {
        let _ = database_url(&text);
        let _ = database_url(&format!("mysql://{text}"));
        let _ = database_url(&format!("sqlite:///{text}"));
    }

    #[test]
    fn any_password_is_kept(password in "[^@]{0,20}") {
        let url = database_url(&format!("mysql://u:{}@h/db", encoded(&password, b""))).unwrap();
        let encoded = url.url.expose_secret().strip_prefix("mysql://u:").unwrap().strip_suffix("@h/db").unwrap();
        proptest::prop_assert_eq!(decoded(encoded), password);
    }
}
