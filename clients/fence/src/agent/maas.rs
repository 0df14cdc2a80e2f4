//! `fence_maas`: MAAS for Pacemaker.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tachi_engine::SystemClock;
use tachi_engine::ports::CallError;

use super::actions::{self, EXIT_SUCCESS, FAILED};
use super::metadata::{self, AgentDescription};
use super::{
    AgentOutput, Invocation, Param, ParameterError, Parameters, ValueType, parameters, poll_schedule,
};
use crate::child::{self, Call};
use crate::credential::Source;
use crate::device::{Device as _, Plug};
use crate::maas::{Maas, MaasOptions};

pub(super) const DESCRIPTION: AgentDescription = AgentDescription {
    name: "fence_maas",
    short: "Fence agent for MAAS",
    long: "fence_maas powers hosts off and on through MAAS, and reports off only after two consecutive off readings \
        of the host's power controller. It finds hosts by their short names, so one device serves all of them.",
};

const MAAS_PARAMS: [Param; 8] = [
    Param {
        aliases: &["ip", "ipaddr"],
        short: Some('a'),
        required: true,
        ..Param::text("url", "Address of MAAS, such as https://maas.example:5443/MAAS")
    },
    Param {
        aliases: &["passwd", "api_key"],
        short: Some('p'),
        form: ValueType::Secret,
        ..Param::text(
            "password",
            "API key of MAAS, consumer:token:secret; not on a command line",
        )
    },
    Param {
        aliases: &["passwd_script"],
        short: Some('S'),
        ..Param::text("password_script", "Program that prints the API key")
    },
    Param::text(
        "api_key_file",
        "File with the API key, readable by its owner and group only",
    ),
    Param::text(
        "ca_file",
        "PEM file of certificate authorities, replacing the system's",
    ),
    Param {
        form: ValueType::Flag,
        default: Some("0"),
        ..Param::text("allow_http", "Accept an http address on another machine")
    },
    Param {
        form: ValueType::Flag,
        default: Some("0"),
        ..Param::text("by_system_id", "The plug is a MAAS system id, not a host name")
    },
    Param {
        aliases: &["login"],
        short: Some('l'),
        ..Param::text(
            "username",
            "Accepted and ignored: the API key identifies the user",
        )
    },
];

fn params() -> Vec<Param> {
    MAAS_PARAMS.into_iter().chain(super::COMMON_PARAMS).collect()
}

pub(super) async fn run(mut invocation: Invocation<'_>) -> u8 {
    let params = params();
    let parameters = parameters(&mut invocation, &params);
    let by_pacemaker = invocation.by_pacemaker;
    let mut output = AgentOutput {
        out: invocation.out,
        err: invocation.err,
        quiet: false,
        verbose: false,
    };
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(why) => {
            output.print_error(&format!("Failed: {why}"));
            return FAILED;
        }
    };
    output.verbose = parameters.flag("verbose").unwrap_or_default();
    for warning in &parameters.warnings {
        output.print_error(&format!("Warning: {warning}"));
    }
    match answer(&parameters, &params, by_pacemaker, &mut output).await {
        Ok(code) => code,
        Err(why) => {
            output.print_error(&format!("Failed: {why}"));
            FAILED
        }
    }
}

async fn answer(
    parameters: &Parameters,
    params: &[Param],
    by_pacemaker: bool,
    output: &mut AgentOutput<'_>,
) -> Result<u8, String> {
    let render = |wrong: ParameterError| wrong.to_string();
    let action = parameters.text("action").unwrap_or("reboot").to_ascii_lowercase();
    let help = parameters.flag("help").unwrap_or_default() || action == "manpage";
    // Actions that describe the agent need no parameters.
    if help {
        output.print(metadata::help(&DESCRIPTION, params).trim_end());
        return Ok(EXIT_SUCCESS);
    }
    if parameters.flag("version").unwrap_or_default() {
        output.print(&format!("{} {}", DESCRIPTION.name, env!("CARGO_PKG_VERSION")));
        return Ok(EXIT_SUCCESS);
    }
    if matches!(action.as_str(), "metadata" | "meta-data") {
        output.print(metadata::xml(&DESCRIPTION, params).trim_end());
        return Ok(EXIT_SUCCESS);
    }
    output.quiet = parameters.flag("quiet").unwrap_or_default();
    parameters.check(params).map_err(render)?;
    parameters.complete(params).map_err(render)?;
    let maas = maas(parameters, params).await?;
    match action.as_str() {
        "validate-all" => {
            // Actions on the device as a whole also succeed without a host.
            if parameters.text("plug").is_some() {
                plug(parameters)?;
            }
            Ok(EXIT_SUCCESS)
        }
        "monitor" => monitor(&maas, parameters, output).await,
        "list" | "list-status" => list(&maas, action == "list-status", output).await,
        action => {
            let plug = plug(parameters)?;
            let polls = poll_schedule(parameters, params, by_pacemaker);
            Ok(match action {
                "off" => actions::off(&maas, &plug, polls, output).await,
                "on" => actions::on(&maas, &plug, polls, output).await,
                "reboot" => actions::reboot(&maas, &plug, polls, output).await,
                _ => actions::status(&maas, &plug, output).await,
            })
        }
    }
}

fn failed(error: &CallError) -> String {
    error.fault.text.clone()
}

async fn monitor(maas: &Maas, parameters: &Parameters, output: &mut AgentOutput<'_>) -> Result<u8, String> {
    maas.whoami().await.map_err(|error| failed(&error))?;
    if parameters.text("plug").is_some() {
        let checked = maas
            .check(&plug(parameters)?)
            .await
            .map_err(|error| failed(&error))?;
        for warning in checked.warnings {
            output.print_error(&format!("Warning: {warning}"));
        }
    }
    Ok(EXIT_SUCCESS)
}

async fn list(maas: &Maas, with_power: bool, output: &mut AgentOutput<'_>) -> Result<u8, String> {
    for (host, system_id, remembered) in maas.machines().await.map_err(|error| failed(&error))? {
        if with_power {
            output.print(&format!("{host},{system_id},{}", remembered.to_ascii_uppercase()));
        } else {
            output.print(&format!("{host},{system_id}"));
        }
    }
    Ok(EXIT_SUCCESS)
}

fn plug(parameters: &Parameters) -> Result<Plug, String> {
    let name = parameters
        .text("plug")
        .ok_or_else(|| ParameterError::Missing { name: "plug" }.to_string())?;
    let system_id = parameters
        .flag("by_system_id")
        .unwrap_or_default()
        .then(|| name.to_owned());
    Plug::new(name, system_id).map_err(|error| error.to_string())
}

async fn maas(parameters: &Parameters, params: &[Param]) -> Result<Maas, String> {
    let url = parameters.text("url").unwrap_or_default();
    let mut options = MaasOptions::new(url, key(parameters).await?);
    options.ca_file = parameters.text("ca_file").map(Into::into);
    options.allow_http = parameters.flag("allow_http").unwrap_or_default();
    // In the contract zero means no limit, but a request needs one.
    let at_least = |name, least| parameters.seconds(name, params).max(Duration::from_secs(least));
    options.connect_timeout = at_least("login_timeout", 1);
    options.timeout = at_least("shell_timeout", 1);
    Maas::new(options, Arc::new(SystemClock)).map_err(|error| tachi_text::chain(&error))
}

async fn key(parameters: &Parameters) -> Result<SecretString, String> {
    if let Some(script) = parameters.text("password_script") {
        return from_script(script).await;
    }
    if let Some(file) = parameters.text("api_key_file") {
        return Source::File(file.into())
            .load()
            .map_err(|error| tachi_text::chain(&error));
    }
    parameters
        .secret("password")
        .cloned()
        .ok_or_else(|| ParameterError::Missing { name: "password" }.to_string())
}

async fn from_script(script: &str) -> Result<SecretString, String> {
    let call = Call {
        program: script.as_ref(),
        args: Vec::new(),
        input: "".into(),
        limit: Duration::from_secs(10),
    };
    let done = child::run(&call)
        .await
        .map_err(|error| tachi_text::chain(&error))?;
    if done.code == Some(0) {
        return Ok(done.stdout.trim().into());
    }
    // The program's output is never printed, because it may be the key.
    Err(format!(
        "{script} exited with {:?} and printed no API key",
        done.code
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(args: &[&str], input: &str) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let invocation = Invocation {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            input: &mut input.as_bytes(),
            out: &mut out,
            err: &mut err,
            by_pacemaker: false,
        };
        let code = super::super::run("fence_maas", invocation).await.unwrap();
        (
            code,
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[tokio::test]
    async fn the_metadata_are_the_golden_ones() {
        let golden = include_str!("../../testdata/fence_maas.xml");
        for (args, input) in [
            (&["--action=metadata"][..], ""),
            (&["-o", "meta-data"], ""),
            (&[], "action=metadata\n"),
            (&[], "option=Metadata\n"),
        ] {
            let (code, out, err) = ask(args, input).await;
            assert_eq!((code, err.as_str()), (EXIT_SUCCESS, ""), "{args:?}");
            assert_eq!(
                out, golden,
                "{args:?}: write the new text into testdata/fence_maas.xml if it is meant"
            );
        }
    }

    #[tokio::test]
    async fn errors_exit_with_1_and_a_message() {
        const KEY: &str = "url=https://maas.example/MAAS\npassword=a:b:c\n";
        for (case, args, input, expected) in [
            ("nothing", &[][..], String::new(), "you have to enter url"),
            (
                "no key",
                &[],
                "url=https://m/MAAS\n".into(),
                "you have to enter password",
            ),
            ("no plug", &[], KEY.into(), "you have to enter plug"),
            (
                "no key in it",
                &[],
                "url=https://m\npassword=x\nplug=c1\n".into(),
                "is not three parts",
            ),
            (
                "no such action",
                &[],
                format!("{KEY}action=explode\n"),
                "action is \"explode\"",
            ),
            (
                "no such option",
                &["--explode"],
                String::new(),
                "unknown option \"--explode\"",
            ),
            (
                "a key for all to see",
                &["--password=a:b:c"],
                String::new(),
                "other users can read the command line",
            ),
            (
                "http",
                &[],
                "url=http://m/MAAS\npassword=a:b:c\nplug=c1\n".into(),
                "maas_allow_http",
            ),
            (
                "a hostile plug",
                &[],
                format!("{KEY}plug=-o on\n"),
                "would be parsed as an option",
            ),
            (
                "no such file",
                &[],
                "url=https://m\napi_key_file=/nonexistent\nplug=c1\n".into(),
                "reading the secret",
            ),
            (
                "no such script",
                &[],
                "url=https://m\npassword_script=/nonexistent\nplug=c1\n".into(),
                "is not installed",
            ),
        ] {
            let (code, out, err) = ask(args, &input).await;
            assert_eq!((code, out.as_str()), (FAILED, ""), "{case}");
            assert!(
                err.starts_with("Failed: ") && err.contains(expected),
                "{case}: {err}"
            );
        }
    }

    #[tokio::test]
    async fn validation_sends_no_request() {
        let input = "url=https://192.0.2.1/MAAS\npassword=a:b:c\naction=validate-all\n";
        assert_eq!(ask(&[], input).await.0, EXIT_SUCCESS);
        let (code, out, _) = ask(&["--help"], "").await;
        assert!(code == EXIT_SUCCESS && out.contains("--power-timeout"), "{out}");
        let (code, out, _) = ask(&["-V"], "").await;
        assert_eq!(
            (code, out),
            (
                EXIT_SUCCESS,
                format!("fence_maas {}\n", env!("CARGO_PKG_VERSION"))
            )
        );
    }

    #[tokio::test]
    async fn the_key_may_come_from_a_program() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("key");
        for (text, expected) in [
            ("echo a:b:c", EXIT_SUCCESS),
            ("echo a:b:secret-word; exit 1", FAILED),
            ("echo x", FAILED),
        ] {
            let _ = std::fs::remove_file(&script);
            std::fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
            let input = format!(
                "url=https://192.0.2.1/MAAS\npassword_script={}\naction=validate-all\n",
                script.display()
            );
            let (code, out, err) = ask(&[], &input).await;
            assert_eq!(code, expected, "{text}: {err}");
            assert!(
                !out.contains("secret-word") && !err.contains("secret-word"),
                "{err}"
            );
        }
    }

    #[tokio::test]
    async fn only_our_agents_are_ours() {
        for name in ["fence_ipmilan", "fence_", "maas", ""] {
            let invocation = Invocation {
                args: Vec::new(),
                input: &mut std::io::empty(),
                out: &mut std::io::sink(),
                err: &mut std::io::sink(),
                by_pacemaker: false,
            };
            assert_eq!(super::super::run(name, invocation).await, None, "{name:?}");
        }
    }
}
