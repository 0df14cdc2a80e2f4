use super::*;

fn summary(entry: &str) -> String {
    let hook = match Hook::parse(entry, Defaults::default()) {
        Ok(hook) => hook,
        Err(error) => return format!("! {}", error.why),
    };
    let target = match &hook.target {
        HookTarget::Exec { program, args } => format!("{program} {args:?}"),
        HookTarget::Http { url, token_file } => format!("{url} {token_file:?}"),
    };
    let Hook {
        timeout,
        retries,
        on_failure,
        idempotent,
        ..
    } = hook;
    format!("{target} {timeout:?} {retries} {on_failure:?} {idempotent}")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn a_program_is_read_with_its_arguments_and_options() {
    let cases = [
        ("alone", "exec:/bin/x", "/bin/x [] 30s 0 Abort false"),
        (
            "arguments",
            "exec:/bin/x a  b",
            r#"/bin/x ["a", "b"] 30s 0 Abort false"#,
        ),
        (
            "quoted arguments",
            r#"exec:/bin/x "a b" 'c "d' "" e\ f "g\"h""#,
            r#"/bin/x ["a b", "c \"d", "", "e f", "g\"h"] 30s 0 Abort false"#,
        ),
        (
            "options",
            "exec:/bin/x a #timeout=2.5&on_failure=continue",
            r#"/bin/x ["a"] 2.5s 0 Continue false"#,
        ),
        (
            "retries of one that may be repeated",
            "exec:/bin/x #retries=2&idempotent=yes",
            "/bin/x [] 30s 2 Abort true",
        ),
        (
            "a mark inside a word begins no options",
            "exec:/bin/x a#b",
            r#"/bin/x ["a#b"] 30s 0 Abort false"#,
        ),
        (
            "nor one in quotes",
            "exec:/bin/x '#b'",
            r##"/bin/x ["#b"] 30s 0 Abort false"##,
        ),
        (
            "a shell's signs are nothing but text",
            "exec:/bin/x $(reboot) ;rm -rf / |tee `id` *",
            r#"/bin/x ["$(reboot)", ";rm", "-rf", "/", "|tee", "`id`", "*"] 30s 0 Abort false"#,
        ),
        (
            "nothing",
            "exec:",
            "! an exec hook needs the absolute path of a program",
        ),
        (
            "a name",
            "exec:reboot",
            "! an exec hook needs the absolute path of a program",
        ),
        (
            "a folder",
            "exec:/bin/",
            "! an exec hook needs the absolute path of a program",
        ),
        (
            "an open quotation",
            "exec:/bin/x 'a",
            "! a hook's command line has an unclosed quotation mark",
        ),
        (
            "an open end",
            "exec:/bin/x a\\",
            "! a hook's command line has a backslash at its end",
        ),
        (
            "a line break",
            "exec:/bin/x\nreboot",
            "! a hook contains a control character",
        ),
        ("a null", "exec:/bin/x\0", "! a hook contains a control character"),
        (
            "an unknown option",
            "exec:/bin/x #shell=true",
            "! unknown hook option \"shell\"",
        ),
        (
            "too long a time",
            "exec:/bin/x #timeout=3601",
            "! a hook's timeout is wrong",
        ),
        ("no time", "exec:/bin/x #timeout=0", "! a hook's timeout is wrong"),
        (
            "a time that is none",
            "exec:/bin/x #timeout=NaN",
            "! a hook's timeout is wrong",
        ),
        (
            "no number",
            "exec:/bin/x #retries=-1",
            "! a hook's retries is wrong",
        ),
        (
            "a policy that is none",
            "exec:/bin/x #on_failure=panic",
            "! a hook's on_failure is wrong",
        ),
        (
            "neither yes nor no",
            "exec:/bin/x #idempotent=maybe",
            "! a hook's idempotent is wrong",
        ),
        (
            "retries of one that must not be repeated",
            "exec:/bin/x #retries=1",
            "! a hook has retries and is not idempotent",
        ),
        (
            "a token",
            "exec:/bin/x #token_file=/t",
            "! a hook's token_file is wrong",
        ),
    ];
    for (case, entry, expected) in cases {
        assert_eq!(summary(entry), expected, "{case}");
    }
}

#[test]
fn an_address_is_read_with_its_options() {
    let cases = [
        ("alone", "https://h/x", "https://h/x None 30s 0 Abort false"),
        (
            "a query is its own",
            "http://h:1/x?timeout=1&a=b",
            "http://h:1/x?timeout=1&a=b None 30s 0 Abort false",
        ),
        (
            "options",
            "https://[::1]:8/x?a#timeout=5&retries=3&idempotent=true&on_failure=continue&token_file=/etc/t",
            "https://[::1]:8/x?a Some(\"/etc/t\") 5s 3 Continue true",
        ),
        (
            "no host",
            "https:///x",
            "! a hook's address is not a URL with a host",
        ),
        (
            "one slash",
            "https:/h/x",
            "! a hook's address is not a URL with a host",
        ),
        (
            "a blank",
            "https://h/a b",
            "! a hook's address is not a URL with a host",
        ),
        (
            "a backslash",
            "https://h\\@evil/",
            "! a hook's address is not a URL with a host",
        ),
        (
            "credentials",
            "https://u:geheim@h/x",
            "! a hook's address contains credentials",
        ),
        ("a user", "https://u@h", "! a hook's address contains credentials"),
        (
            "a relative token",
            "https://h#token_file=t",
            "! a hook's token_file is wrong",
        ),
    ];
    for (case, entry, expected) in cases {
        let summary = summary(entry);
        assert_eq!(summary, expected, "{case}");
        assert!(!summary.contains("geheim"), "{case}");
    }
}

#[test]
fn only_three_schemes_are_hooks() {
    for entry in ["exec:/x", "http://h", "https://h"] {
        assert!(Hook::is_hook(entry), "{entry}");
    }
    for entry in ["no_op", "ftp://h", "file:/x", "EXEC:/x", "", "python:x"] {
        assert!(!Hook::is_hook(entry), "{entry}");
    }
}

#[test]
fn a_name_shows_neither_arguments_nor_query() {
    let name = |entry: &str| Hook::parse(entry, Defaults::default()).unwrap().name();
    assert_eq!(name("exec:/bin/x --key geheim"), "exec:/bin/x");
    assert_eq!(name("https://h/x?key=geheim#timeout=1"), "https://h/x");
}

proptest::proptest! {
    #[test]
    fn no_entry_panics(entry in "(exec:/|https?://)?\\PC{0,40}(#\\PC{0,20})?") {
        let _ = Hook::parse(&entry, Defaults::default());
    }

    #[test]
    fn quoted_arguments_are_parsed_back(args in proptest::collection::vec("[ -~]{0,12}", 0..4)) {
        let quoted: Vec<String> = args
            .iter()
            .map(|arg| format!("\"{}\"", arg.replace('\\', "\\\\").replace('"', "\\\"")))
            .collect();
        let hook = Hook::parse(&format!("exec:/bin/x {}", quoted.join(" ")), Defaults::default()).unwrap();
        let read = match hook.target {
            HookTarget::Exec { args, .. } => args,
            HookTarget::Http { .. } => Vec::new(),
        };
        proptest::prop_assert_eq!(read, args);
    }
}
